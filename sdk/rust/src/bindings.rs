//! The contract of `wit/plugin.wit` in Rust, generated.

wit_bindgen::generate!({
    world: "plugin",
    path: "../../wit",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "wafermill_sdk::bindings",
    additional_derives: [PartialEq, Clone],
});
