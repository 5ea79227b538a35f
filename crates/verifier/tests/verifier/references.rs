use std::fs;

use tamarack_corim::{Signer, Validity};
use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_eat::ear::Tier;
use tamarack_model::codes;

use crate::support::{World, corim, make};

const NONCE: [u8; 16] = [7; 16];

impl World {
    fn status(&self, agent: [u8; 32]) -> Option<Tier> {
        let evidence = self.device.evidence(&NONCE, agent);
        let reply = self.appraise(SOFTWARE_TEE_FORMAT, Some(&NONCE), &evidence);
        self.check(&reply.body, &NONCE).unwrap().status
    }
}

#[test]
fn they_are_added_listed_and_taken_out_of_force() {
    let mut world = World::new();
    assert_eq!(world.request("GET", "/api/v1/references", &[], &[]).problem().0, 401);
    assert_eq!(
        world.request("POST", "/api/v1/references", &[("authorization", "Bearer x")], &[]).problem().0,
        401
    );
    let first = world.device.release(1, [4; 32]);
    let row = world.references("POST", "", &first);
    assert_eq!((row.status, row.json()["state"].as_str()), (201, Some("in force")));
    assert_eq!(
        world.references("POST", "", &first).json(),
        row.json(),
        "adding the same again changes nothing"
    );
    assert_eq!(world.status([4; 32]), Some(Tier::Affirming));
    let second = world.references("POST", "", &world.device.release(2, [5; 32])).json();
    assert_eq!(
        (world.status([4; 32]), world.status([5; 32])),
        (Some(Tier::Contraindicated), Some(Tier::Affirming))
    );
    let list = world.references("GET", "", &[]).json();
    let states: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|r| r["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["superseded", "in force"]);

    let path = format!("/{}", second["id"].as_str().unwrap());
    assert_eq!(world.references("DELETE", &path, &[]).status, 204);
    assert_eq!(world.references("DELETE", &path, &[]).problem(), (409, codes::API_CONFLICT.to_string()));
    assert_eq!(world.references("DELETE", "/00", &[]).problem().0, 400);
    assert_eq!(world.references("DELETE", &format!("/{}", "00".repeat(32)), &[]).problem().0, 404);
    assert_eq!(world.status([5; 32]), Some(Tier::Warning), "nobody speaks of it any more");

    // All of it outlives the process, the floor even the files.
    world.start();
    assert_eq!(world.status([5; 32]), Some(Tier::Warning));
    for entry in fs::read_dir(world.made.config.parent().unwrap().join("references")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "corim") {
            fs::remove_file(path).unwrap();
        }
    }
    world.start();
    let old = world.references("POST", "", &world.device.release(1, [9; 32]));
    assert_eq!(old.problem(), (409, codes::REFERENCE_ROLLBACK.to_string()));
}

/// Whatever becomes of the files, what was taken out of force stays so.
#[test]
fn what_is_out_of_force_does_not_come_back_with_its_file() {
    let mut world = World::new();
    let folder = world.made.config.parent().unwrap().join("references");
    let signed = world.device.release(1, [4; 32]);
    let id = world.references("POST", "", &signed).json()["id"].as_str().unwrap().to_string();
    assert_eq!(world.references("DELETE", &format!("/{id}"), &[]).status, 204);
    let file = folder.join(format!("{id}.corim"));
    fs::remove_file(&file).unwrap();
    world.start();
    let again = world.references("POST", "", &signed);
    assert_eq!((again.status, again.json()["state"].as_str()), (201, Some("deactivated")));
    assert_eq!(world.status([4; 32]), Some(Tier::Warning));
    assert_eq!(fs::read(&file).unwrap(), signed, "the file is back");
    assert_eq!(world.references("GET", "", &[]).json()["items"].as_array().unwrap().len(), 1);
    world.start();
    assert_eq!(world.status([4; 32]), Some(Tier::Warning));
    // Nor does it because nobody remembers.
    fs::remove_file(folder.join("known.toml")).unwrap();
    let config = tamarack_verifier::Config::read(&world.made.config).unwrap();
    let error = tamarack_verifier::Verifier::open(&config).err().unwrap();
    assert_eq!(error.code(), codes::CONFIG_INVALID);
    assert!(error.to_string().contains("is lost"), "{error}");
}

#[test]
fn bad_ones_are_refused_and_change_nothing() {
    let world = World::new();
    assert_eq!(world.references("POST", "", &world.device.release(2, [4; 32])).status, 201);
    let sign = |corim: &tamarack_corim::Corim| {
        tamarack_corim::sign(corim, &Signer::new("Acme"), &*world.device.maker, None).unwrap()
    };
    let stranger = make();
    let foreign =
        tamarack_corim::sign(&corim("software-tee", 3, [4; 32]), &Signer::new("x"), &*stranger, None)
            .unwrap();
    let mut over = corim("software-tee", 3, [4; 32]);
    over.validity = Some(Validity { not_before: None, not_after: 1_000_000_000 });
    let mut changed = world.device.release(3, [4; 32]);
    *changed.last_mut().unwrap() ^= 1;
    let unsigned = tamarack_cbor::Encode::to_cbor(&corim("software-tee", 3, [4; 32]));
    for (what, body, status, code) in [
        ("nothing", Vec::new(), 422, codes::REFERENCE_MALFORMED),
        ("no CBOR", b"{}".to_vec(), 422, codes::REFERENCE_MALFORMED),
        ("unsigned", unsigned, 422, codes::REFERENCE_UNSIGNED),
        ("a stranger's", foreign, 403, codes::REFERENCE_UNTRUSTED),
        ("changed", changed, 403, codes::REFERENCE_UNTRUSTED),
        ("beyond the scope", sign(&corim("other", 3, [4; 32])), 403, codes::REFERENCE_SCOPE),
        ("over", sign(&over), 422, codes::REFERENCE_EXPIRED),
        ("rolled back", sign(&corim("software-tee", 1, [4; 32])), 409, codes::REFERENCE_ROLLBACK),
        (
            "the same version with other content",
            sign(&corim("software-tee", 2, [9; 32])),
            409,
            codes::REFERENCE_CONFLICT,
        ),
    ] {
        assert_eq!(world.references("POST", "", &body).problem(), (status, code.to_string()), "{what}");
        assert_eq!(world.status([4; 32]), Some(Tier::Affirming), "{what}");
    }
}

#[test]
fn files_in_the_folder_count_like_those_over_rest() {
    let mut world = World::new();
    let folder = world.made.config.parent().unwrap().join("references");
    fs::write(folder.join("a.corim"), world.device.release(1, [4; 32])).unwrap();
    fs::write(folder.join("b.corim"), b"rubbish").unwrap();
    fs::write(folder.join("c.txt"), b"no CoRIM").unwrap();
    world.start();
    assert_eq!(world.status([4; 32]), Some(Tier::Affirming));
    assert_eq!(world.references("GET", "", &[]).json()["items"].as_array().unwrap().len(), 1);
    // What is known cannot be lost unseen: a broken file stops the verifier and not its memory.
    fs::write(folder.join("known.toml"), "rubbish").unwrap();
    let config = tamarack_verifier::Config::read(&world.made.config).unwrap();
    let error = tamarack_verifier::Verifier::open(&config).err().unwrap();
    assert_eq!(error.code(), codes::CONFIG_INVALID);
}

#[test]
fn e3_a_verifiers_key_serves_nothing_else() {
    let world = World::new();
    let home = world.made.config.parent().unwrap();
    let text = fs::read_to_string(&world.made.config).unwrap();
    // The maker's key as the verifier's, and the verifier's as the maker's.
    fs::write(&world.made.config, text.replace("maker.pub", "verifier.pub")).unwrap();
    let open = || {
        let config = tamarack_verifier::Config::read(&world.made.config).unwrap();
        tamarack_verifier::Verifier::open(&config).err().map(|error| error.code())
    };
    assert_eq!(open(), Some(codes::VERIFIER_KEY));
    fs::write(home.join("ca.key"), world.device.authority.key_pem()).unwrap();
    fs::write(&world.made.config, text.replace("\"verifier.key\"", "\"ca.key\"")).unwrap();
    assert_eq!(open(), Some(codes::VERIFIER_KEY), "the key of the TEE CA");
    fs::write(&world.made.config, &text).unwrap();
    assert_eq!(open(), None);
}
