#![no_main]
wafermill_fuzz::target!("pipeline");
