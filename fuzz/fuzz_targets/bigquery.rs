#![no_main]
wafermill_fuzz::target!("bigquery");
