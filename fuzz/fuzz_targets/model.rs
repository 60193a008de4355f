#![no_main]
wafermill_fuzz::target!("model");
