mod personalize;
pub mod push;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tamarack_cose::SignOptions;
use tamarack_model::codes;
use tamarack_suit::Envelope;
use tamarack_tee::TaLimits;

use crate::fail::{self, Fail, Outcome};
use crate::ta_yaml::{DEFAULT_CLASS, DEFAULT_VENDOR, TaYaml};
use crate::{keys, out, try_ta};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Start a new TA in a folder of its own
    New {
        /// Name of the TA and of the folder
        name: String,
        /// Language
        #[arg(long, value_enum, default_value = "c")]
        language: Language,
        /// Security Domain that the TA will live in
        #[arg(long, default_value = "com.example")]
        domain: String,
    },
    /// Compile the TA of the current folder to WebAssembly
    Build {
        /// The ta.yaml
        #[arg(default_value = "ta.yaml")]
        file: PathBuf,
    },
    /// Load the TA, run its entry points and report what a device would say
    Test {
        /// The ta.yaml
        #[arg(default_value = "ta.yaml")]
        file: PathBuf,
    },
    /// Make an unsigned SUIT envelope from ta.yaml
    Pack {
        /// The ta.yaml
        #[arg(default_value = "ta.yaml")]
        file: PathBuf,
        /// Where to write; NAME.suit beside ta.yaml without it
        #[arg(long)]
        out: Option<PathBuf>,
        /// Sign it right away with this key
        #[arg(long)]
        key: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign an envelope with a developer's key
    Sign {
        /// The private key, PKCS#8 PEM
        #[arg(long)]
        key: PathBuf,
        /// The developer's certificate chain, if the device trusts a CA rather than the key
        #[arg(long)]
        chain: Option<PathBuf>,
        /// The envelope; it is replaced by the signed one
        file: PathBuf,
    },
    /// Publish a signed envelope at a TAM
    Publish(crate::cmd::tam::Publish),
    /// Pack, sign and publish, and wait until a device attests it
    Push(push::Args),
    /// Give the TA on one device data that nobody else can read, such as card data
    Personalize(personalize::Args),
}

/// Languages that there is a template for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Language {
    /// C, with clang
    C,
    /// Rust
    Rust,
}

pub fn run(args: Args) -> Outcome {
    match args.action {
        Action::New { name, language, domain } => new(&name, language, &domain),
        Action::Build { file } => build(&file),
        Action::Test { file } => test(&file),
        Action::Pack { file, out, key, json } => pack(&file, out, key, json),
        Action::Publish(args) => crate::cmd::tam::publish(&args),
        Action::Push(args) => push::run(args),
        Action::Personalize(args) => personalize::run(args),
        Action::Sign { key, chain, file } => sign(&key, chain.as_deref(), &file),
    }
}

/// A template's files: name and content, with `{{name}}`, `{{uuid}}`, `{{domain}}`, `{{vendor}}` and `{{class}}` to be
/// filled in.
type Template = &'static [(&'static str, &'static str)];

const C_TEMPLATE: Template = &[
    ("{{name}}.c", include_str!("../../../../../sdk/templates/c/ta.c")),
    ("ta.yaml", include_str!("../../../../../sdk/templates/c/ta.yaml")),
    ("sdk/tee_internal_api.h", include_str!("../../../../../sdk/c/tee_internal_api.h")),
    ("sdk/runtime.c", include_str!("../../../../../sdk/c/runtime.c")),
];

const RUST_TEMPLATE: Template = &[
    ("Cargo.toml", include_str!("../../../../../sdk/templates/rust/Cargo.toml")),
    (".cargo/config.toml", include_str!("../../../../../sdk/templates/rust/.cargo/config.toml")),
    ("src/lib.rs", include_str!("../../../../../sdk/templates/rust/src/lib.rs")),
    ("ta.yaml", include_str!("../../../../../sdk/templates/rust/ta.yaml")),
    ("sdk/rust/Cargo.toml", include_str!("../../../../../sdk/rust/Cargo.toml")),
    ("sdk/rust/src/lib.rs", include_str!("../../../../../sdk/rust/src/lib.rs")),
];

fn new(name: &str, language: Language, domain: &str) -> Outcome {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Fail::input(codes::USAGE, "a TA's name has only lower-case letters, digits and '-'"));
    }
    let folder = Path::new(name);
    if folder.exists() {
        return Err(Fail::input(
            codes::FILE_UNWRITABLE,
            format_args!("{name} exists already; nothing was written"),
        ));
    }
    let mut random = [0; 16];
    let provider = tamarack_crypto_aws_lc::provider();
    provider.random.fill(&mut random).map_err(|e| Fail::new(codes::INTERNAL, e))?;
    let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
    let template = match language {
        Language::C => C_TEMPLATE,
        Language::Rust => RUST_TEMPLATE,
    };
    for (file, content) in template {
        let fill = |text: &str| {
            text.replace("{{name}}", name)
                .replace("{{uuid}}", &uuid.to_string())
                .replace("{{domain}}", domain)
                .replace("{{sdk}}", "sdk")
                .replace("{{vendor}}", DEFAULT_VENDOR)
                .replace("{{class}}", DEFAULT_CLASS)
        };
        let path = folder.join(fill(file));
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|e| {
            Fail::input(codes::FILE_UNWRITABLE, format_args!("cannot make {}: {e}", parent.display()))
        })?;
        fail::write(&path, fill(content).as_bytes())?;
    }
    eprintln!("made {name}/ with uuid {uuid}; next: cd {name} && tamarack ta build && tamarack ta test");
    Ok(())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn build(file: &Path) -> Outcome {
    let yaml = TaYaml::read(file)?;
    let folder = folder_of(file);
    let module = folder.join(&yaml.module);
    let mut command = if folder.join("Cargo.toml").exists() {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--target", "wasm32v1-none"]).current_dir(folder);
        cargo
    } else {
        let mut clang = Command::new("clang");
        clang.args([
            "--target=wasm32",
            "-std=c11",
            "-Oz",
            "-ffreestanding",
            "-fno-builtin",
            "-nostdlib",
            "-Wall",
        ]);
        clang.args(["-Wl,--no-entry", "-Wl,--strip-all", "-Wl,-z,stack-size=16384", "-Wl,--stack-first"]);
        clang.args(["-Isdk", "sdk/runtime.c"]);
        clang.arg(format!("{}.c", yaml.name)).arg("-o").arg(&yaml.module).current_dir(folder);
        clang
    };
    let status = command.status().map_err(|e| {
        Fail::new(
            codes::TA_INVALID,
            format_args!("cannot start {:?}: {e}; C needs clang and lld", command.get_program()),
        )
    })?;
    if !status.success() {
        return Err(Fail::new(codes::TA_INVALID, "the compiler reported errors"));
    }
    if folder.join("Cargo.toml").exists() {
        let built = format!("target/wasm32v1-none/release/{}.wasm", yaml.name.replace('-', "_"));
        fail::write(&module, &fail::read(&folder.join(built))?)?;
    }
    eprintln!("built {}: {} bytes", module.display(), fail::read(&module)?.len());
    Ok(())
}

fn test(file: &Path) -> Outcome {
    let yaml = TaYaml::read(file)?;
    let module = yaml.module(folder_of(file))?;
    let report = try_ta::try_ta(&module, &TaLimits::default())
        .map_err(|e| Fail::new(e.code(), format_args!("{}: {e}", yaml.module.display())))?;
    out::lines(&format!("{}: loads, starts, opens and closes a session\n{report}", yaml.module.display()))
}

fn pack(file: &Path, out: Option<PathBuf>, key: Option<PathBuf>, json: bool) -> Outcome {
    let yaml = TaYaml::read(file)?;
    let folder = folder_of(file);
    let provider = tamarack_crypto_aws_lc::provider();
    let failed = |e: tamarack_suit::Error| Fail::input(e.code(), format_args!("{}: {e}", file.display()));
    let mut unsigned = yaml.builder(folder)?.build(&provider).map_err(failed)?;
    if let Some(key) = &key {
        unsigned = sign_with(unsigned, key, None)?;
    }
    let path = out.unwrap_or_else(|| folder.join(format!("{}.suit", yaml.name)));
    let envelope = unsigned.envelope();
    fail::write(&path, &envelope)?;
    let digest = hex::encode(unsigned.digest().bytes());
    if json {
        return out::json(&json!({
            "file": path.display().to_string(), "bytes": envelope.len(), "digest": digest,
            "sequence": yaml.sequence, "signed": key.is_some(),
        }));
    }
    let next = if key.is_some() { "" } else { "; next: tamarack ta sign" };
    out::lines(&format!(
        "packed {} {} (sequence {}): {}, {} bytes, digest {digest}{next}",
        yaml.name,
        yaml.version,
        yaml.sequence,
        path.display(),
        envelope.len(),
    ))
}

/// Signs what was packed.
pub fn sign_with(
    unsigned: tamarack_suit::author::Unsigned,
    key: &Path,
    chain: Option<&Path>,
) -> Outcome<tamarack_suit::author::Unsigned> {
    let signer = keys::signer(key)?;
    let kid = tamarack_cose::thumbprint(&signer.public_key(), &tamarack_crypto_aws_lc::provider());
    let x5chain = match chain {
        Some(path) => {
            tamarack_pki::certificates_from_pem(&keys::read_text(path)?).map_err(crate::cmd::pki::pki)?
        }
        None => Vec::new(),
    };
    let options = SignOptions { kid: Some(&kid.0), x5chain: &x5chain, ..SignOptions::default() };
    unsigned.sign(&*signer, &options).map_err(|e| Fail::new(e.code(), e))
}

fn sign(key: &Path, chain: Option<&Path>, file: &Path) -> Outcome {
    let bytes = fail::read(file)?;
    let failed = |e: tamarack_suit::Error| Fail::input(e.code(), format_args!("{}: {e}", file.display()));
    let envelope = Envelope::parse(&bytes, &tamarack_suit::Limits::default()).map_err(failed)?;
    let provider = tamarack_crypto_aws_lc::provider();
    let unsigned = tamarack_suit::author::Unsigned::from_envelope(&envelope, &provider).map_err(failed)?;
    let signed = sign_with(unsigned, key, chain)?;
    fail::write(file, &signed.envelope())?;
    eprintln!("signed {}", file.display());
    Ok(())
}
