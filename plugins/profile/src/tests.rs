//! Profiles are those of the rows, however they are cut.
