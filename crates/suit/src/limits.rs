/// What a device is ready to take of a manifest.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Size, nesting and number of items of the envelope and of everything wrapped in it.
    pub cbor: tamarack_cbor::Limits,
    /// Most components.
    pub components: usize,
    /// Most commands in all sequences together.
    pub commands: usize,
    /// Deepest nesting of try-each and run-sequence, a section itself being 1.
    pub depth: usize,
    /// Most alternatives of one try-each.
    pub alternatives: usize,
    /// Most authentication blocks.
    pub signatures: usize,
    /// Most commands carried out in one procedure, each one once per component it applies to.
    pub steps: usize,
}

impl Default for Limits {
    /// 16 MiB of envelope, 16 components, 1,024 commands, 8 levels, 16 alternatives, 8 signatures, 8,192 steps.
    fn default() -> Self {
        Self {
            cbor: tamarack_cbor::Limits { bytes: 16 << 20, ..tamarack_cbor::Limits::default() },
            components: 16,
            commands: 1024,
            depth: 8,
            alternatives: 16,
            signatures: 8,
            steps: 8192,
        }
    }
}
