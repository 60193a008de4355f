//! `wasi:io`: standard streams, and what can be waited for.

use super::{charge, interface};
use crate::sandbox::log::Standard;
use crate::sandbox::store::State;
use wasmtime::component::{ComponentType, Linker, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{StoreContextMut, bail};

/// Bytes that may be written at a time.
const WRITTEN: usize = 64 << 10;

/// Standard input, which is at its end.
#[derive(Debug)]
pub(super) struct InputStream;

/// Standard output or error.
#[derive(Debug)]
pub(super) struct OutputStream;

/// What can be waited for: it is ready at this instant.
#[derive(Debug)]
pub(super) struct Pollable(u64);

/// What went wrong with a stream; nothing ever does.
#[derive(Debug)]
pub(super) struct StreamFailure;

#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[expect(dead_code, reason = "the type has this case, and no stream fails")]
    LastOperationFailed(Resource<StreamFailure>),
    #[component(name = "closed")]
    Closed,
}

type Store<'a> = StoreContextMut<'a, State>;

impl OutputStream {
    /// The handle says all: there is nothing to keep of a stream.
    pub(super) fn handle(stream: Standard) -> Resource<Self> {
        Resource::new_own(stream as u32)
    }

    fn write(store: &mut Store<'_>, stream: &Resource<Self>, bytes: &[u8]) -> wasmtime::Result<()> {
        if bytes.len() > WRITTEN {
            bail!("{} bytes were written at once, more than the {WRITTEN} that `check-write` allows", bytes.len());
        }
        charge(store, bytes.len())?;
        let standard = if stream.rep() == Standard::Error as u32 { Standard::Error } else { Standard::Output };
        store.data_mut().log.write(standard, bytes);
        Ok(())
    }

    fn write_zeroes(store: &mut Store<'_>, stream: &Resource<Self>, length: u64) -> wasmtime::Result<()> {
        // One byte more than may be written is refused as any number more.
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(WRITTEN + 1);
        Self::write(store, stream, &vec![0; length])
    }
}

impl Pollable {
    pub(super) fn make(mut store: Store<'_>, ready: u64) -> wasmtime::Result<Resource<Self>> {
        Ok(store.data_mut().wasi.pollables.push(Self(ready))?)
    }
}

/// The instant at which each of them is ready.
fn instants(store: &Store<'_>, pollables: &[Resource<Pollable>]) -> wasmtime::Result<Vec<u64>> {
    let table = &store.data().wasi.pollables;
    pollables.iter().map(|pollable| Ok(table.get(pollable)?.0)).collect()
}

/// Instructions that one of them counts as where many are waited for.
const POLLED: usize = 100;

/// Waits until one is ready, and gives the positions of all that are.
fn poll(store: &mut Store<'_>, pollables: &[Resource<Pollable>]) -> wasmtime::Result<Vec<u32>> {
    charge(store, pollables.len() * POLLED)?;
    let instants = instants(store, pollables)?;
    let Some(first) = instants.iter().min() else { bail!("`poll` of nothing would last for ever") };
    let time = &mut store.data_mut().wasi.time;
    time.wait_until(*first);
    let now = time.read();
    Ok((0_u32..).zip(&instants).filter(|(_, ready)| **ready <= now).map(|(position, _)| position).collect())
}

pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    let mut error = interface(linker, "io/error")?;
    error.resource("error", ResourceType::host::<StreamFailure>(), |_, _| Ok(()))?;
    error.func_wrap("[method]error.to-debug-string", |_, (_,): (Resource<StreamFailure>,)| Ok((String::new(),)))?;

    let mut polls = interface(linker, "io/poll")?;
    polls.resource("pollable", ResourceType::host::<Pollable>(), |mut store, handle| {
        store.data_mut().wasi.pollables.delete(Resource::<Pollable>::new_own(handle))?;
        Ok(())
    })?;
    polls.func_wrap("poll", |mut store: Store<'_>, (pollables,): (Vec<Resource<Pollable>>,)| {
        Ok((poll(&mut store, &pollables)?,))
    })?;
    polls.func_wrap("[method]pollable.block", |mut store: Store<'_>, (pollable,): (Resource<Pollable>,)| {
        poll(&mut store, &[pollable]).map(drop)
    })?;
    polls.func_wrap("[method]pollable.ready", |mut store: Store<'_>, (pollable,): (Resource<Pollable>,)| {
        let ready = instants(&store, &[pollable])?;
        let now = store.data_mut().wasi.time.read();
        Ok((ready.iter().all(|ready| *ready <= now),))
    })?;

    let mut streams = interface(linker, "io/streams")?;
    add_input(&mut streams)?;
    add_output(&mut streams)
}

fn add_input(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.resource("input-stream", ResourceType::host::<InputStream>(), |_, _| Ok(()))?;
    for name in ["read", "blocking-read"] {
        let closed = |_: Store<'_>, (_, _): (Resource<InputStream>, u64)| Ok((Err::<Vec<u8>, _>(StreamError::Closed),));
        streams.func_wrap(&format!("[method]input-stream.{name}"), closed)?;
    }
    for name in ["skip", "blocking-skip"] {
        let closed = |_: Store<'_>, (_, _): (Resource<InputStream>, u64)| Ok((Err::<u64, _>(StreamError::Closed),));
        streams.func_wrap(&format!("[method]input-stream.{name}"), closed)?;
    }
    streams.func_wrap("[method]input-stream.subscribe", |store: Store<'_>, (_,): (Resource<InputStream>,)| {
        Ok((Pollable::make(store, 0)?,))
    })
}

fn add_output(streams: &mut LinkerInstance<'_, State>) -> wasmtime::Result<()> {
    streams.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    streams.func_wrap("[method]output-stream.check-write", |_, (_,): (Resource<OutputStream>,)| {
        Ok((Ok::<_, StreamError>(WRITTEN as u64),))
    })?;
    for name in ["write", "blocking-write-and-flush"] {
        let write = |mut store: Store<'_>, (stream, bytes): (Resource<OutputStream>, Vec<u8>)| {
            OutputStream::write(&mut store, &stream, &bytes)?;
            Ok((Ok::<_, StreamError>(()),))
        };
        streams.func_wrap(&format!("[method]output-stream.{name}"), write)?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        let write = |mut store: Store<'_>, (stream, length): (Resource<OutputStream>, u64)| {
            OutputStream::write_zeroes(&mut store, &stream, length)?;
            Ok((Ok::<_, StreamError>(()),))
        };
        streams.func_wrap(&format!("[method]output-stream.{name}"), write)?;
    }
    for name in ["flush", "blocking-flush"] {
        let flush = |_: Store<'_>, (_,): (Resource<OutputStream>,)| Ok((Ok::<_, StreamError>(()),));
        streams.func_wrap(&format!("[method]output-stream.{name}"), flush)?;
    }
    for name in ["splice", "blocking-splice"] {
        type Arguments = (Resource<OutputStream>, Resource<InputStream>, u64);
        let closed = |_: Store<'_>, _: Arguments| Ok((Err::<u64, _>(StreamError::Closed),));
        streams.func_wrap(&format!("[method]output-stream.{name}"), closed)?;
    }
    streams.func_wrap("[method]output-stream.subscribe", |store: Store<'_>, (_,): (Resource<OutputStream>,)| {
        Ok((Pollable::make(store, 0)?,))
    })
}
