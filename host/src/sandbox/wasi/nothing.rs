//! `wasi:filesystem` and `wasi:sockets`, of which there is nothing: no folder is open, and no socket is made.

use super::interface;
use crate::sandbox::store::State;
use wasmtime::component::{Linker, Resource, ResourceType, Val};
use wasmtime::{StoreContextMut, format_err};

/// A file, a socket or a terminal: there is none.
#[derive(Debug)]
pub(super) struct Nothing;

/// An interface, and of each of its resources the methods.
type Interface = (&'static str, &'static [(&'static str, &'static [&'static str])]);

/// The interfaces with their resources, and the functions that need one of those: whoever calls them has none to pass.
const UNREACHABLE: [Interface; 5] = [
    (
        "filesystem/types",
        &[
            (
                "descriptor",
                &[
                    "read-via-stream",
                    "write-via-stream",
                    "append-via-stream",
                    "advise",
                    "sync-data",
                    "get-flags",
                    "get-type",
                    "set-size",
                    "set-times",
                    "read",
                    "write",
                    "read-directory",
                    "sync",
                    "create-directory-at",
                    "stat",
                    "stat-at",
                    "set-times-at",
                    "link-at",
                    "open-at",
                    "readlink-at",
                    "remove-directory-at",
                    "rename-at",
                    "symlink-at",
                    "unlink-file-at",
                    "is-same-object",
                    "metadata-hash",
                    "metadata-hash-at",
                ],
            ),
            ("directory-entry-stream", &["read-directory-entry"]),
        ],
    ),
    ("sockets/network", &[("network", &[])]),
    ("sockets/ip-name-lookup", &[("resolve-address-stream", &["resolve-next-address", "subscribe"])]),
    (
        "sockets/tcp",
        &[(
            "tcp-socket",
            &[
                "start-bind",
                "finish-bind",
                "start-connect",
                "finish-connect",
                "start-listen",
                "finish-listen",
                "accept",
                "local-address",
                "remote-address",
                "is-listening",
                "address-family",
                "set-listen-backlog-size",
                "keep-alive-enabled",
                "set-keep-alive-enabled",
                "keep-alive-idle-time",
                "set-keep-alive-idle-time",
                "keep-alive-interval",
                "set-keep-alive-interval",
                "keep-alive-count",
                "set-keep-alive-count",
                "hop-limit",
                "set-hop-limit",
                "receive-buffer-size",
                "set-receive-buffer-size",
                "send-buffer-size",
                "set-send-buffer-size",
                "subscribe",
                "shutdown",
            ],
        )],
    ),
    (
        "sockets/udp",
        &[
            (
                "udp-socket",
                &[
                    "start-bind",
                    "finish-bind",
                    "stream",
                    "local-address",
                    "remote-address",
                    "address-family",
                    "unicast-hop-limit",
                    "set-unicast-hop-limit",
                    "receive-buffer-size",
                    "set-receive-buffer-size",
                    "send-buffer-size",
                    "set-send-buffer-size",
                    "subscribe",
                ],
            ),
            ("incoming-datagram-stream", &["receive", "subscribe"]),
            ("outgoing-datagram-stream", &["check-send", "send", "subscribe"]),
        ],
    ),
];

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    for (name, resources) in UNREACHABLE {
        let mut instance = interface(linker, name)?;
        for (resource, methods) in resources {
            instance.resource(resource, ResourceType::host::<Nothing>(), |_, _| Ok(()))?;
            for method in *methods {
                let trap = move || format_err!("`wasi:{name}` has no `{resource}` to `{method}`");
                instance.func_new(&format!("[method]{resource}.{method}"), move |_, _, _, _| Err(trap()))?;
            }
        }
    }
    // What went wrong with a stream is never a matter of files or of the network.
    for (name, function) in [("filesystem/types", "filesystem-error-code"), ("sockets/network", "network-error-code")] {
        interface(linker, name)?
            .func_new(function, |store, _, given, results| answer(store, given, results, Val::Option(None)))?;
    }
    interface(linker, "filesystem/preopens")?
        .func_wrap("get-directories", |_, (): ()| Ok((Vec::<(Resource<Nothing>, String)>::new(),)))?;
    interface(linker, "sockets/instance-network")?
        .func_wrap("instance-network", |_: StoreContextMut<'_, State>, (): ()| {
            Ok((Resource::<Nothing>::new_own(0),))
        })?;
    for (name, function) in [
        ("sockets/tcp-create-socket", "create-tcp-socket"),
        ("sockets/udp-create-socket", "create-udp-socket"),
        ("sockets/ip-name-lookup", "resolve-addresses"),
    ] {
        interface(linker, name)?.func_new(function, |store, _, given, results| {
            answer(store, given, results, Val::Result(Err(Some(Box::new(Val::Enum("access-denied".to_owned()))))))
        })?;
    }
    Ok(())
}

fn answer(
    mut store: StoreContextMut<'_, State>,
    given: &[Val],
    results: &mut [Val],
    value: Val,
) -> wasmtime::Result<()> {
    // What is lent to a function of this kind it has to give back itself.
    for lent in given {
        if let Val::Resource(lent) = lent {
            lent.resource_drop(&mut store)?;
        }
    }
    let result = results.first_mut().ok_or_else(|| format_err!("the function has no result"))?;
    *result = value;
    Ok(())
}
