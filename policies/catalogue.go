package policies

// Code is one entry of the catalogue: a reason code that stays what it is once it was published.
type Code struct {
	Name    string // signature.missing
	Meaning string // one sentence
	Remedy  string // what changes it
}

// Catalogue lists every code that the registry, its verifiers and the shipped policies give, ordered by name. Policies of your own may use further
// codes; "policy." is the engine's.
func Catalogue() []Code {
	const sign = "sign the digest with a key of an accepted authority"
	return []Code{
		{"base.not_allowed", "The base image that the image claims is in no list of the policy.", "build from an allowed base image"},
		{"base.unknown", "The image does not say which base image it is made from.", "build with the annotation org.opencontainers.image.base.name"},
		{"config.missing", "The image's configuration could not be read, so that it cannot be judged.", "push the image again, with its configuration"},
		{"config.root_user", "The image runs as root.", "set a numeric user in the image's configuration"},
		{"config.too_big", "The image's layers are larger than the policy allows.", "make the image smaller"},
		{"policy.error", "A policy's evaluation ended in an error, which refuses.", "see the log; run assay policy eval on the recorded input"},
		{"policy.malformed", "A policy answered something that is no result, which refuses.", "run assay policy check and assay policy eval"},
		{"policy.none", "No policy is in force for the repository, which refuses.", "name a policy in the configuration; builtin:open allows everything"},
		{"policy.panic", "A policy's evaluation failed inside the engine, which refuses.", "see the log"},
		{"policy.timeout", "A policy did not answer in time, which refuses.", "make the policy cheaper; the registry asks again within a minute"},
		{"sbom.diff_ids", "The layers' uncompressed digests are not those that the configuration names.", "build and push the image again"},
		{"sbom.failed", "The registry could not make the SBOM.", "attach an SBOM made at the build"},
		{"sbom.format", "The SBOM has a format that the policy does not accept.", "attach an SBOM in an accepted format"},
		{"sbom.missing", "The image has no SBOM yet.", "wait until the registry made it, or attach one"},
		{"sbom.origin", "The SBOM comes from where the policy does not accept it.", "attach one of an accepted origin"},
		{"sbom.unverified", "The attestation that carries the SBOM is not verified.", "sign the attestation with a trusted key"},
		{"signature.annotations", "A valid signature lacks a signed annotation that the policy wants.", "sign again with the annotation: cosign sign -a KEY=VALUE"},
		{"signature.digest_mismatch", "A signature names another digest.", sign},
		{"signature.internal", "Verification failed inside the registry, which proves nothing.", "see the log"},
		{"signature.invalid", "A signature's bytes do not verify.", sign},
		{"signature.key_expired", "A signature was made outside the time in which its key is valid, or that time is over.", "sign with a key that is valid now"},
		{"signature.malformed", "A signature does not parse as the type that it claims.", sign},
		{"signature.missing", "Nothing signed the digest.", sign},
		{"signature.no_authority", "No authority is trusted for the repository.", "trust a key: assay trust add"},
		{"signature.other_repository", "A valid signature was made for another repository.", "sign the digest in this repository, or configure promote_from"},
		{"signature.payload_type", "What was signed is of another type than in-toto.", sign},
		{"signature.revoked_key", "The key that made a signature is revoked.", "sign with a key that is not revoked"},
		{"signature.threshold", "Fewer distinct keys or identities signed than the policy wants.", "have another signer sign the digest"},
		{"signature.too_big", "A signature exceeds the limits.", sign},
		{"signature.unsigned", "What was attached carries no signature.", sign},
		{"signature.unsupported", "A signature's scheme needs an authority of another kind.", sign},
		{"signature.untrusted", "A valid signature is by an authority that the policy does not accept.", sign},
		{"signature.untrusted_key", "No key of a trusted authority made the signature.", "sign with a trusted key, or trust this one: assay trust add"},
		{"tag.immutable", "The tag has named another image, and the policy lets it name no second one.", "push under another tag, or have an administrator delete this one"},
		{"tag.mutable", "The tag can move, and the policy wants tags that say what they name.", "push under a version, such as v1.2.3"},
	}
}
