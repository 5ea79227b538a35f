mod bounds;
mod http;
mod roundtrip;
mod signed;
