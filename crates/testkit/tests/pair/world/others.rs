//! Others in the place of the device or of the TAM, and beside them.

use std::sync::Arc;

use tamarack_agent::{Agent, AgentConfig, Seed, TamAnchor};
use tamarack_crypto::{Secret, Sign};
use tamarack_model::OwnerId;
use tamarack_pki::{Authority, Validity};
use tamarack_store::MemoryStore;
use tamarack_tam::{ChallengeKey, Tam, TamConfig, TamSigner};
use tamarack_tee::{Identity, Persona, Platform};
use tamarack_testkit::memory_platform::MemoryPlatform;
use tamarack_testkit::otrp_pki::TestTam;
use tamarack_x509::{Name, Role};

use super::setup::{device, device_like, otrp_config, policy, signer_anchor, tam_keys, teep_anchor};
use super::{NOW, OTHER_URI, Pair};

impl Pair {
    /// Gives the same TAM a device of another maker, with another TEE CA, vendor and class, which speaks TEEP and knows the
    /// TAM by its keys; gives back the one before.
    pub fn second_makers_device(&mut self) -> Agent<MemoryPlatform> {
        let seed = self.seed_with(vec![teep_anchor(OwnerId([9; 16]), self.tam_keys.clone())]);
        self.seed += 1;
        let number = self.seed;
        let other = device_like(&self.second_maker, self.device_crypto, number, &seed, |platform| {
            let identity = platform.identity(Persona(0)).unwrap().clone();
            platform.with_identity(Identity {
                vendor_id: [0x71; 16],
                class_id: [0x72; 16],
                oemid: [0x73; 16],
                hwmodel: b"sensor-9".to_vec(),
                ..identity
            })
        });
        std::mem::replace(&mut self.agent, other)
    }

    /// Hands the same TAM another device, which speaks TEEP; gives back the one before.
    pub fn other_device(&mut self) -> Agent<MemoryPlatform> {
        let anchor = teep_anchor(OwnerId([2; 16]), self.tam_keys.clone());
        let seed = self.seed_with(vec![anchor]);
        self.seed += 1;
        let other = device(&self.pki, self.device_crypto, self.seed, &seed);
        std::mem::replace(&mut self.agent, other)
    }

    /// Gives the device a second TAM, for which it is another Owner; nobody has published anything there.
    pub fn with_another_tam(mut self) -> Self {
        let keys = tam_keys(&self.crypto);
        let public: Vec<_> = keys.iter().map(|key| key.public_key()).collect();
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &self.crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([8; 32]) };
        let config = TamConfig::new(signers, policy(&[&self.pki]), challenge_key, [4; 16]);
        self.other = Some((Tam::new(config, self.crypto), MemoryStore::new(self.crypto)));
        let other = TamAnchor {
            uri: Some(OTHER_URI.into()),
            persona: Persona(1),
            ..teep_anchor(OwnerId([2; 16]), public)
        };
        let seed = self.seed_with(vec![teep_anchor(OwnerId([1; 16]), self.tam_keys.clone()), other]);
        self.seed += 1;
        self.agent = device(&self.pki, self.device_crypto, self.seed, &seed);
        self
    }

    /// Puts somebody else in the TAM's place, who has all that it has but its keys.
    pub fn usurp(&mut self, keys: Vec<Box<dyn Sign>>, otrp: Option<TestTam>) {
        let signers = keys.into_iter().map(|key| TamSigner::new(key, Vec::new(), &self.crypto)).collect();
        let challenge_key = ChallengeKey { generation: 0, key: Secret::new([7; 32]) };
        let mut config = TamConfig::new(signers, policy(&[&self.pki]), challenge_key, [3; 16]);
        let tam = otrp.as_ref().unwrap_or(&self.pki.tams[0]);
        config.otrp = Some(otrp_config(tam, &self.pki, &self.crypto));
        self.tam = Tam::new(config, self.crypto);
    }

    /// Certificates of the attestation key of the device of this number, by an authority.
    pub fn certify(&self, number: u8, authority: &Authority, role: Role) -> Vec<Vec<u8>> {
        let key = MemoryPlatform::new(self.device_crypto, number).attestation_public_key(Persona(0));
        let name = Name::Uri(format!("urn:test:device:{number}"));
        let validity = Validity::days(NOW - 3600, 30);
        let leaf = authority.issue_named(key, role, &name, "test", validity).unwrap();
        let mut chain = tamarack_pki::certificates_from_pem(&leaf).unwrap();
        chain.push(authority.cert_der().to_vec());
        chain
    }

    /// Puts another device in the device's place, with keys of this number and these certificates of its attestation key.
    pub fn pose(&mut self, number: u8, chain: Vec<Vec<u8>>) {
        let mut platform = MemoryPlatform::new(self.device_crypto, number)
            .with_certificate_chain(Persona(0), chain)
            .with_loader(Arc::new(tamarack_tee_sandbox::wasm::load));
        let anchor = teep_anchor(OwnerId([1; 16]), self.tam_keys.clone());
        let seed = self.seed_with(vec![anchor]);
        Agent::enrol(&mut platform, &self.device_crypto, &seed).unwrap();
        self.agent = Agent::new(platform, self.device_crypto, AgentConfig::default());
    }

    /// Enrolment with these TAMs and the provider, and nothing else.
    fn seed_with(&self, tams: Vec<TamAnchor>) -> Seed {
        Seed {
            tams,
            signers: vec![signer_anchor(self.signer.public_key())],
            peripherals: vec![],
            device_authority: None,
            device_owner: None,
        }
    }
}
