//! Guests made to harm, each by one attack: components of a few kilobytes that are written here, so that nothing has to be built.

pub mod attacks;
pub mod component;
pub mod guest;
pub mod image;
pub mod message;
pub mod victim;

/// A component that does harm.
pub struct Attack {
    /// What it does, for people.
    pub what: String,
    /// Makes it.
    pub component: Box<dyn Fn() -> Vec<u8>>,
}

/// An attack by a component.
pub fn attack(what: impl Into<String>, component: impl Fn() -> Vec<u8> + 'static) -> Attack {
    Attack { what: what.into(), component: Box::new(component) }
}

/// An attack by a guest that is honest otherwise.
pub fn by_guest(what: impl Into<String>, change: impl Fn(&mut guest::Guest) + 'static) -> Attack {
    attack(what, move || {
        let mut guest = guest::Guest::default();
        change(&mut guest);
        guest.component()
    })
}
