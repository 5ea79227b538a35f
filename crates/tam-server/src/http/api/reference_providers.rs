//! `/reference-providers`: who else may say what the tenant's devices should run, besides the operator's providers. Those
//! speak for one tenant, within their scope, and raise no grade beyond what the operator allows tenants (security rule K7).

use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::{Value, json};
use tamarack_attest::{ProviderRole, ReferenceProvider};
use tamarack_corim::ClassId;
use tamarack_model::codes;
use tamarack_store::{Read, ReferenceScope, StoreOp, TenantReferenceProvider};

use super::{Answer, Call, Done, Problem};

/// What adds or changes a provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// `maker` or `ta-signer`.
    role: String,
    /// PEM of public keys or certificates.
    keys: Vec<String>,
    /// The environments that it may speak of.
    scope: Vec<Scope>,
    /// The components that it may speak of; without it all.
    elements: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scope {
    class_id: Option<String>,
    vendor: Option<String>,
    model: Option<String>,
}

/// Most providers of a tenant, and most keys, scopes and elements of one.
const MOST: usize = 32;
/// Longest name and text in bytes.
const TEXT: usize = 200;

impl Body {
    fn read(self, call: &Call, name: &str) -> Result<TenantReferenceProvider, Problem> {
        let maker = match self.role.as_str() {
            "maker" => true,
            "ta-signer" => false,
            _ => return Err(Problem::invalid("role: maker or ta-signer")),
        };
        let elements = self.elements.as_deref().unwrap_or_default();
        for (what, count) in
            [("keys", self.keys.len()), ("scope", self.scope.len()), ("elements", elements.len())]
        {
            if count > MOST {
                return Err(Problem::invalid(format_args!("{what}: at most {MOST}")));
            }
        }
        let texts = self.scope.iter().flat_map(|scope| [&scope.vendor, &scope.model]).flatten();
        if name.len() > TEXT || texts.chain(elements).any(|text| text.is_empty() || text.len() > TEXT) {
            return Err(Problem::invalid(format_args!("texts have 1 to {TEXT} bytes")));
        }
        let key = |pem: &String| {
            tamarack_service::reference::public_key(pem)
                .ok_or_else(|| Problem::invalid("keys: PEM of a P-256 or Ed25519 PUBLIC KEY or CERTIFICATE"))
        };
        Ok(TenantReferenceProvider {
            tenant: call.tenant().clone(),
            name: name.into(),
            maker,
            keys: self.keys.iter().map(key).collect::<Result<_, _>>()?,
            scope: self.scope.into_iter().map(Scope::read).collect::<Result<_, _>>()?,
            elements: self.elements,
            set: call.now,
        })
    }
}

impl Scope {
    fn read(self) -> Result<ReferenceScope, Problem> {
        let Self { class_id, vendor, model } = self;
        let class_id = class_id.map(|text| {
            let bytes = hex::decode(text.replace('-', "")).ok();
            let bytes = bytes.filter(|bytes| (1..=512).contains(&bytes.len()));
            bytes.ok_or_else(|| Problem::invalid("scope: class_id: give hexadecimal digits"))
        });
        Ok(ReferenceScope { class_id: class_id.transpose()?, vendor, model })
    }
}

/// The operator's and the tenant's, in the order in which they are asked.
pub(super) fn list(call: &Call) -> Done {
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    let counting = tam.reference_providers(&call.app.store, call.tenant())?;
    let rows = call.app.store.reference_providers(call.tenant())?;
    let mut items: Vec<Value> = Vec::new();
    for provider in &counting {
        // Where names are equal, the operator's is the one that counts.
        let own =
            rows.iter().any(|row| row.name == provider.name) && !tam.is_operators_provider(&provider.name);
        items.push(show(provider, own, true));
    }
    for row in &rows {
        if !counting.iter().any(|provider| provider.name == row.name) || tam.is_operators_provider(&row.name)
        {
            items.push(show(&tam.tenant_provider(row.clone()), true, false));
        }
    }
    Ok(call.page(items, None))
}

pub(super) fn set(call: &Call) -> Done {
    let body: Body = call.json()?;
    let row = body.read(call, call.path("name"))?;
    let rows = call.app.store.reference_providers(call.tenant())?;
    let known = rows.iter().any(|known| known.name == row.name);
    if !known && rows.len() >= MOST {
        return Err(Problem::new(codes::REFERENCE_PROVIDER, format_args!("a tenant has at most {MOST}")));
    }
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    tam.check_reference_provider(&call.app.store, &row)
        .map_err(|refusal| Problem::new(refusal.code, refusal.reason))?;
    let shown = show(&tam.tenant_provider(row.clone()), true, true);
    drop(tam);
    let detail = format!("{} keys, {} environments", row.keys.len(), row.scope.len());
    let name = row.name.clone();
    call.change(vec![StoreOp::PutReferenceProvider(row)], "reference-provider.set", &name, &detail)?;
    Ok(if known { Answer::ok(shown) } else { Answer::created(shown) })
}

/// Its values stop to count; that the tenant compares its devices stays.
pub(super) fn remove(call: &Call) -> Done {
    let name = call.path("name");
    let change = StoreOp::RemoveReferenceProvider { tenant: call.tenant().clone(), name: name.into() };
    call.change(vec![change], "reference-provider.remove", name, "")?;
    Ok(Answer::nothing())
}

fn show(provider: &ReferenceProvider, own: bool, counts: bool) -> Value {
    let ReferenceProvider { name, role, keys, scope, elements, cap } = provider;
    let class = |environment: &tamarack_corim::Environment| {
        let class = environment.class.as_ref();
        let id = class.and_then(|class| class.class_id.as_ref());
        let id = id.map(|id| match id {
            ClassId::Uuid(id) => hex::encode(id),
            ClassId::Bytes(id) | ClassId::Oid(id) => hex::encode(id),
        });
        json!({
            "class_id": id,
            "vendor": class.and_then(|class| class.vendor.as_deref()),
            "model": class.and_then(|class| class.model.as_deref()),
        })
    };
    json!({
        "name": name,
        "of": if own { "tenant" } else { "operator" },
        "role": match role {
            ProviderRole::Maker => "maker",
            ProviderRole::TaSigner => "ta-signer",
        },
        "keys": keys.iter().map(|key| hex::encode(key.id().0)).collect::<Vec<_>>(),
        "scope": scope.iter().map(class).collect::<Vec<_>>(),
        "elements": elements,
        "cap": cap.to_string(),
        "counts": counts,
    })
}
