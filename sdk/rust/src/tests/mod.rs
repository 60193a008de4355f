//! What only arrow-rs itself, or slow and exact arithmetic, can judge.

mod arrow;
mod messages;
mod moments;
mod numbers;
mod quantiles;
