//! Archives of bundles in the layout of OPA, deterministic, with signatures.
