#![no_main]
wafermill_fuzz::target!("parquet");
