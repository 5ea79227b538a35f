//! Release policies and tenants' providers of reference values over REST.

use std::fs;

use serde_json::{Value, json};
use tamarack_crypto::{KeyType, Sign};
use tamarack_tam_server::{Config, NewToken, Role, TenantId, add_token};
use tempfile::TempDir;

use crate::support::{Reply, World, options, signer};

fn put(world: &World, token: &str, policy: Value, if_match: Option<&str>) -> Reply {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(if_match.map(|etag| ("if-match", etag)));
    world.send("PUT", "/api/v1/release-policy", &headers, json!({ "policy": policy }).to_string().as_bytes())
}

#[test]
fn a_release_policy_has_versions_and_takes_the_place_of_the_one_that_was_seen() {
    let mut world = World::new();
    let operator = world.operator.clone();
    let get = |world: &World| world.api(&operator, "GET", "/release-policy", b"");
    let none = get(&world);
    assert_eq!((none.status, none.header("etag")), (200, Some("\"0\"")));
    assert_eq!(none.json(), json!({ "version": 0, "policy": null, "set": null, "by": null }));

    let first = put(&world, &operator, json!("device.grade != 'none'"), Some("\"0\""));
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")), "{first:?}");
    assert_eq!((&first.json()["version"], &first.json()["by"]), (&json!(1), &json!("operator")));
    // Whoever looked at the version before must look again.
    put(&world, &operator, json!("false"), Some("\"0\"")).assert_problem(412, "TMK-4005");
    assert_eq!(put(&world, &operator, json!("true"), Some("\"7\", \"1\"")).status, 200);
    assert_eq!(put(&world, &operator, json!(null), Some("*")).json()["policy"], Value::Null);
    assert_eq!(put(&world, &operator, json!("device.known"), None).json()["version"], 4);
    world.restart_whole();
    assert_eq!(get(&world).json()["policy"], "device.known");

    let page = world.api(&operator, "GET", "/release-policy/history?limit=3", b"").json();
    let versions = |page: &Value| -> Vec<Value> {
        page["items"].as_array().unwrap().iter().map(|row| row["version"].clone()).collect()
    };
    assert_eq!((versions(&page), &page["next"]), (vec![json!(4), json!(3), json!(2)], &json!("2")));
    let rest = world.api(&operator, "GET", "/release-policy/history?limit=3&after=2", b"").json();
    assert_eq!((versions(&rest), &rest["next"]), (vec![json!(1)], &Value::Null));
    assert_eq!(rest["items"][0]["policy"], "device.grade != 'none'");

    let audit = world.audit();
    let of_policy: Vec<&Value> = audit.iter().filter(|row| row["action"] == "release-policy.set").collect();
    let subjects: Vec<&str> = of_policy.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["version 1", "version 2", "version 3", "version 4"]);
    assert!(of_policy[0]["detail"].as_str().unwrap().starts_with("sha256 "));
    assert_eq!(of_policy[2]["detail"], "none");
}

#[test]
fn a_policy_that_cannot_be_put_in_force_changes_nothing() {
    let world = World::new();
    let operator = world.operator.clone();
    assert_eq!(put(&world, &operator, json!("device.known"), None).status, 200);
    let before = world.digest();
    for (policy, code, says) in [
        (json!("device.known &&"), "TMK-4020", "line 1, column 16"),
        (json!("device.grade == 3"), "TMK-4020", "line 1, column 14"),
        (json!("true &&\n  device.owner == 'me'"), "TMK-4021", "line 2, column 9"),
        (json!("x".repeat(9000)), "TMK-4022", "8192 are allowed"),
        (
            json!("claims.layers.all(a, claims.layers.all(b, claims.layers.all(c, a == b)))"),
            "TMK-4022",
            "worst case",
        ),
        (json!("ta.sequence"), "TMK-4025", "not a bool or a map"),
    ] {
        let reply = put(&world, &operator, policy, None);
        reply.assert_problem(422, code);
        let detail = reply.json()["detail"].as_str().unwrap().to_string();
        assert!(detail.contains(says), "{detail}");
    }
    put(&world, &operator, json!(3), None).assert_problem(400, "TMK-4003");
    world
        .api(&operator, "POST", "/release-policy/test", br#"{"policy":"devise.known"}"#)
        .assert_problem(422, "TMK-4021");
    world
        .api(&operator, "POST", "/release-policy/test", br#"{"device":"00"}"#)
        .assert_problem(400, "TMK-4003");
    let nobody = json!({ "device": "00".repeat(32) });
    world.api_json(&operator, "POST", "/release-policy/test", &nobody).assert_problem(404, "TMK-4004");
    assert_eq!(world.digest(), before);
    let fleet = world.api(&operator, "POST", "/release-policy/test", b"{}").json();
    assert_eq!(fleet, json!({ "items": [], "next": null }));

    let auditor = world.token(Role::Auditor, None);
    assert_eq!(world.api(&auditor, "GET", "/release-policy", b"").status, 200);
    put(&world, &auditor, json!("true"), None).assert_problem(403, "TMK-4002");
}

fn body(key: &dyn Sign, scope: Value) -> Value {
    let pem = tamarack_pki::public_key_to_pem(&key.public_key()).unwrap();
    json!({ "role": "maker", "keys": [pem], "scope": [scope] })
}

#[test]
fn k7_a_tenant_has_providers_of_reference_values_of_its_own() {
    let folder = TempDir::new().unwrap();
    let made = tamarack_tam_server::init(&options(&folder)).unwrap();
    let operators = tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::P256).unwrap()).unwrap();
    let public = tamarack_pki::public_key_to_pem(&operators.public_key()).unwrap();
    fs::write(made.config.with_file_name("acme.pub"), public).unwrap();
    let provider = "\n[[reference_provider]]\nname = \"Acme\"\nrole = \"maker\"\nkeys = [\"acme.pub\"]\ncap = \"hardware\"\n\
        [[reference_provider.scope]]\nmodel = \"m1\"\n";
    fs::write(&made.config, fs::read_to_string(&made.config).unwrap() + provider).unwrap();
    let config = Config::read(&made.config).unwrap();
    let world = World::made(folder, config, made.operator_token);
    let operator = world.operator.clone();
    let own = signer();
    let scope = json!({ "class_id": "02020202-0202-0202-0202-020202020202", "model": "m1" });
    let path = "/reference-providers/Own";
    let added = world.api_json(&operator, "PUT", path, &body(&*own, scope.clone()));
    assert_eq!(added.status, 201, "{added:?}");
    assert_eq!(world.api_json(&operator, "PUT", path, &body(&*own, scope.clone())).status, 200);
    let list = |token: &str| -> Vec<(String, String, String)> {
        let page = world.api(token, "GET", "/reference-providers", b"").json();
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_string();
        let rows = page["items"].as_array().unwrap().iter();
        rows.map(|row| (text(row, "name"), text(row, "of"), text(row, "cap"))).collect()
    };
    let operators_row = ("Acme".to_string(), "operator".to_string(), "hardware".to_string());
    let own_row = ("Own".to_string(), "tenant".to_string(), "none".to_string());
    assert_eq!(list(&operator), [operators_row.clone(), own_row.clone()]);

    let before = world.digest();
    for (name, body, status, code) in [
        ("Acme", body(&*signer(), scope.clone()), 409, "TMK-4028"),
        ("New", body(&*operators, scope.clone()), 409, "TMK-4028"),
        ("New", body(&*own, scope.clone()), 409, "TMK-4028"),
        ("New", body(&*signer(), json!({})), 409, "TMK-4028"),
        ("New", body(&*signer(), json!({ "class_id": "xyz" })), 400, "TMK-4003"),
        ("New", body(&*signer(), json!({ "model": "" })), 400, "TMK-4003"),
        ("New", json!({ "role": "friend", "keys": [], "scope": [] }), 400, "TMK-4003"),
        ("New", json!({ "role": "maker", "keys": ["x"], "scope": [scope.clone()] }), 400, "TMK-4003"),
        ("New", json!({ "role": "maker", "keys": [], "scope": [], "cap": "hardware" }), 400, "TMK-4003"),
    ] {
        let path = format!("/reference-providers/{name}");
        world.api_json(&operator, "PUT", &path, &body).assert_problem(status, code);
    }
    world.api(&operator, "DELETE", "/reference-providers/Acme", b"").assert_problem(404, "TMK-4004");
    assert_eq!(world.digest(), before);

    // Another tenant has the operator's and none of this one's.
    let tenant = TenantId::new("other").unwrap();
    let other = NewToken { tenant, role: Role::Operator, provider: None, label: "other".into() };
    let other = add_token(&world.config, &other).unwrap();
    assert_eq!(list(&other), std::slice::from_ref(&operators_row));

    assert_eq!(world.api(&operator, "DELETE", path, b"").status, 204);
    assert_eq!(list(&operator), [operators_row]);
    let actions: Vec<Value> = world.audit().iter().map(|row| row["action"].clone()).collect();
    assert!(actions.contains(&json!("reference-provider.set")));
    assert!(actions.contains(&json!("reference-provider.remove")));
}
