//! The contract of `wit/plugin.wit` for wasmtime, generated.

#![expect(missing_docs, reason = "generated code; the contract is documented in wit/plugin.wit")]

wasmtime::component::bindgen!({
    world: "plugin",
    path: "../wit",
});
