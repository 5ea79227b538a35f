//! The platform of the software TEE: sandbox layers, sealed storage, TA runtime.

pub mod isolation;
mod layers;

pub use layers::Layers;
