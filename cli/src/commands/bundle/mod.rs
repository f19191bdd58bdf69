//! `cku bundle`: bundles as such.
