use tamarack_tee::TaLimits;

/// What a program decides about its Agent.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// What a TEEP message may be.
    pub message: tamarack_cbor::Limits,
    /// What an OTrP message may be.
    pub otrp: tamarack_otrp::Limits,
    /// Whether UpdateSD may give a Security Domain to another service provider (the draft's `newspid`).
    pub new_provider: bool,
    /// What a manifest may be.
    pub manifest: tamarack_suit::Limits,
    /// Most bytes of one payload.
    pub max_payload: u64,
    /// Most bytes of a component that is copied in memory or loaded as a TA.
    pub max_in_memory: u64,
    /// Most Evidence that is signed for one Owner in a minute (security rule C7).
    pub evidence_per_minute: u32,
    /// Most answers in a minute to messages that no trusted TAM signed; beyond that they are dropped.
    pub refusals_per_minute: u32,
    /// What one TA may use.
    pub ta: TaLimits,
}

impl Default for AgentConfig {
    /// 64 MiB of payload, 16 MiB in memory, 600 times Evidence and 600 refusals a minute.
    fn default() -> Self {
        Self {
            message: tamarack_cbor::Limits::default(),
            otrp: tamarack_otrp::Limits::default(),
            new_provider: false,
            manifest: tamarack_suit::Limits::default(),
            max_payload: 64 << 20,
            max_in_memory: 16 << 20,
            evidence_per_minute: 600,
            refusals_per_minute: 600,
            ta: TaLimits::default(),
        }
    }
}
