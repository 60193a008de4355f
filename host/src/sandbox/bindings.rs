//! The contract of `wit/plugin.wit` for wasmtime, generated.

wasmtime::component::bindgen!({
    world: "plugin",
    path: "../wit",
});
