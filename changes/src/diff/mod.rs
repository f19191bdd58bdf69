//! A policy diff: proposed, checked, approved, active.
