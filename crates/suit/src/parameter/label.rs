use super::{Kind, Parameter};

macro_rules! table {
    ($($name:ident = $label:literal, $text:literal, $kind:ident, $supported:literal;)*) => {
        $(#[doc = concat!("Label of ", $text, ".")] pub const $name: i64 = $label;)*

        /// Every parameter that the drafts name.
        pub const PARAMETERS: &[Parameter] = &[
            $(Parameter { label: $label, name: $text, kind: Kind::$kind, supported: $supported },)*
        ];
    };
}

table! {
    VENDOR_IDENTIFIER = 1, "vendor-identifier", VendorId, true;
    CLASS_IDENTIFIER = 2, "class-identifier", Uuid, true;
    IMAGE_DIGEST = 3, "image-digest", Digest, true;
    COMPONENT_SLOT = 5, "component-slot", Uint, true;
    STRICT_ORDER = 12, "strict-order", Bool, true;
    SOFT_FAILURE = 13, "soft-failure", Bool, true;
    IMAGE_SIZE = 14, "image-size", Uint, true;
    CONTENT = 18, "content", Bytes, true;
    URI = 21, "uri", Text, true;
    SOURCE_COMPONENT = 22, "source-component", Uint, true;
    INVOKE_ARGS = 23, "invoke-args", Bytes, true;
    DEVICE_IDENTIFIER = 24, "device-identifier", Uuid, true;
    FETCH_ARGUMENTS = 25, "fetch-arguments", Bytes, true;
    // Encrypted payloads (draft-ietf-suit-firmware-encryption).
    ENCRYPTION_INFO = 19, "encryption-info", EncryptionInfo, true;
    // Update management (draft-ietf-suit-update-management).
    USE_BEFORE = 4, "use-before", Uint, false;
    MINIMUM_BATTERY = 26, "minimum-battery", Uint, false;
    UPDATE_PRIORITY = 27, "update-priority", Int, false;
    VERSION = 28, "version", Wrapped, false;
    WAIT_INFO = 29, "wait-info", Wrapped, false;
    COMPONENT_METADATA = 30, "component-metadata", Wrapped, false;
}
