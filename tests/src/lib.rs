//! What the end-to-end tests share: the program, the tables it is given, and cases that are folders.

pub mod case;
pub mod dataset;
pub mod folder;
pub mod hostile;
pub mod program;
pub mod tables;
