#![no_main]
wafermill_fuzz::target!("batch");
