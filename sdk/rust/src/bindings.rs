//! The contract of `wit/plugin.wit` in Rust, generated.

#![expect(missing_docs, clippy::undocumented_unsafe_blocks, reason = "generated code; the contract is documented in wit/plugin.wit")]

wit_bindgen::generate!({
    world: "plugin",
    path: "../../wit",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "wafermill_sdk::bindings",
    additional_derives: [PartialEq, Clone],
});
