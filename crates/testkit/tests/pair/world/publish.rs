//! What is published, by whom and where.

use tamarack_crypto::{Provider, Sign};
use tamarack_model::{ComponentId, Sha256Digest, UnixTime};
use tamarack_pki::Validity;
use tamarack_store::{
    CatalogueEntry, Domain, DomainSigner, MemoryStore, Provider as ServiceProvider, Read, Store, StoreOp,
    TenantId,
};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam::catalog;
use tamarack_testkit::memory_platform::ed25519;

use super::{NOW, Pair, wallet, wallet_module};

/// A signed manifest of one component.
pub fn envelope(
    crypto: &Provider,
    signer: &dyn Sign,
    (manifest, component): (ComponentId, ComponentId),
    module: Vec<u8>,
    sequence: u64,
) -> Vec<u8> {
    let payload = Payload::integrated("#ta", module, crypto);
    let builder = Builder::new(manifest, sequence).component(Component::new(component, payload));
    let kid = tamarack_cose::thumbprint(&signer.public_key(), crypto);
    let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
    builder.build(crypto).unwrap().sign(signer, &options).unwrap().envelope()
}

/// Publishes what a TAM takes from this provider.
pub fn publish(
    crypto: &Provider,
    store: &MemoryStore,
    provider: &ServiceProvider,
    envelope: &[u8],
    now: UnixTime,
) -> CatalogueEntry {
    let publication = catalog::check_publication(envelope, provider, store, crypto).unwrap();
    let entry = CatalogueEntry {
        tenant: provider.tenant.clone(),
        provider: provider.id.clone(),
        manifest: publication.manifest,
        sequence: publication.sequence,
        digest: publication.digest,
        components: publication.components,
        artifact: Sha256Digest(store.put_artifact(envelope).unwrap()),
        size: envelope.len() as u64,
        published: now,
        withdrawn: None,
    };
    store.apply(vec![StoreOp::Publish(entry.clone())]).unwrap();
    entry
}

impl Pair {
    /// Publishes the wallet in this version with this sequence number.
    pub fn publish(&self, version: u8, sequence: u64) -> CatalogueEntry {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        self.publish_for(&provider, &*self.signer, (wallet("suit"), wallet("ta")), version, sequence)
    }

    fn publish_for(
        &self,
        provider: &ServiceProvider,
        signer: &dyn Sign,
        names: (ComponentId, ComponentId),
        version: u8,
        sequence: u64,
    ) -> CatalogueEntry {
        self.publish_in(&self.store, provider, signer, names, wallet_module(version), sequence)
    }

    fn publish_in(
        &self,
        store: &MemoryStore,
        provider: &ServiceProvider,
        signer: &dyn Sign,
        (manifest, component): (ComponentId, ComponentId),
        module: Vec<u8>,
        sequence: u64,
    ) -> CatalogueEntry {
        let envelope = envelope(&self.crypto, signer, (manifest, component), module, sequence);
        publish(&self.crypto, store, provider, &envelope, self.now)
    }

    /// Publishes the valve TA under these names: those that the device has bound the valve to, or others.
    pub fn publish_valve(&self, names: (ComponentId, ComponentId)) {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        let file = format!("{}/../../examples/ta/built/valve.wasm", env!("CARGO_MANIFEST_DIR"));
        let module = std::fs::read(&file).unwrap_or_else(|e| panic!("{file}: {e}"));
        self.publish_in(&self.store, &provider, &*self.signer, names, module, 1);
    }

    /// Has the TAM take this key for the provider's, and publishes the wallet signed by it.
    pub fn publish_signed_by(&self, signer: &dyn Sign) {
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        let provider = ServiceProvider { signers: vec![signer.public_key()], ..provider };
        self.store.apply(vec![StoreOp::UpdateProvider(provider.clone())]).unwrap();
        self.publish_for(&provider, signer, (wallet("suit"), wallet("ta")), 1, 1);
    }

    /// The provider has an account at the other TAM, and publishes the same wallet there.
    pub fn publish_at_the_other(&self) {
        let (_, store) = self.other.as_ref().expect("another TAM");
        let provider = self.store.provider(&TenantId::default(), "acme").unwrap().unwrap();
        store.apply(vec![StoreOp::InsertProvider(provider.clone())]).unwrap();
        let names = (wallet("suit"), wallet("ta"));
        self.publish_in(store, &provider, &*self.signer, names, wallet_module(1), 1);
    }

    /// Creates the domain of the wallet with the certificate that the TAM makes for its provider.
    pub fn create_domain(&mut self) {
        let tam = &self.pki.tams[0];
        let validity = Validity::days(NOW - 3600, 30);
        let key = self.signer.public_key();
        let made = tamarack_pki::provider_certificate(&tam.chain[0], &*tam.signer, key, "acme", validity);
        let signer = DomainSigner { provider: "acme".into(), certificate: made.unwrap() };
        let domain = Domain {
            tenant: TenantId::default(),
            name: "com.acme".into(),
            provider: "acme".into(),
            signers: vec![signer],
            quota: None,
            created: NOW,
            deleted: None,
        };
        self.store.apply(vec![StoreOp::InsertDomain(domain)]).unwrap();
    }

    /// Lets another provider publish into that domain, and publishes a TA of its own there; gives its component.
    pub fn publish_as_guest(&self) -> ComponentId {
        let tenant = TenantId::default();
        let (key, tam) = (ed25519(&self.crypto, 10, b"signer"), &self.pki.tams[0]);
        let guest = ServiceProvider {
            tenant: tenant.clone(),
            id: "isv".into(),
            name: "ISV".into(),
            prefixes: vec![ComponentId::new(["com.isv"]).unwrap()],
            signers: vec![key.public_key()],
            enabled: true,
        };
        let validity = Validity::days(NOW - 3600, 30);
        let certificate = tamarack_pki::provider_certificate(
            &tam.chain[0],
            &*tam.signer,
            key.public_key(),
            "isv",
            validity,
        );
        let mut domain = self.store.domain(&tenant, "com.acme").unwrap().unwrap();
        domain.signers.push(DomainSigner { provider: "isv".into(), certificate: certificate.unwrap() });
        let ops = vec![StoreOp::InsertProvider(guest.clone()), StoreOp::UpdateDomain(domain)];
        self.store.apply(ops).unwrap();
        let id = |kind| ComponentId::tamarack("com.acme", [0x22; 16], kind).unwrap();
        self.publish_for(&guest, &*key, (id("suit"), id("ta")), 1, 1);
        id("ta")
    }

    /// Deletes that domain.
    pub fn delete_domain(&self) {
        let (tenant, name) = (TenantId::default(), "com.acme".to_string());
        self.store.apply(vec![StoreOp::DeleteDomain { tenant, name, at: self.now }]).unwrap();
    }
}
