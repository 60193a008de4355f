#![no_main]
wafermill_fuzz::target!("table");
