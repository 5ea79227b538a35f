//! The Agent on a platform in memory, with a scripted TAM that signs real messages and a clock of its own.

mod attestation;
mod emitted;
mod exchange;
mod lifecycle;
mod loading;
mod otrp_domains;
mod otrp_life;
mod otrp_more;
mod otrp_power;
mod otrp_principals;
mod otrp_refusals;
mod otrp_replay;
mod otrp_world;
mod owner;
mod owner_otrp;
mod personalization;
mod power;
mod principals;
mod rollback;
mod tokens;
mod world;
