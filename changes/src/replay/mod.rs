//! Recorded decisions, decided anew under two bundles.
