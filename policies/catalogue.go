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
		{"attestation.builder", "The build's provenance is of another builder than the policy wants.", "build it with the wanted builder"},
		{"attestation.identity", "Another identity than the policy wants signed the provenance.", "have the wanted identity attest it"},
		{"attestation.issuer", "Another issuer than the policy wants vouched for who signed the provenance.", "have an identity of the wanted issuer attest it"},
		{"attestation.missing", "Nothing attests how the digest was built.", "attest the build's provenance"},
		{"attestation.predicate_type", "What is attested is of another type than the policy wants.", "attest with a predicate of the wanted type"},
		{"attestation.ref", "It was built from another branch or tag than the policy wants.", "build it from the wanted one"},
		{"attestation.source", "It was built from another repository than the policy wants.", "build it from the wanted one"},
		{"attestation.threshold", "Fewer distinct keys or identities attested it than the policy wants.", "have another trusted builder attest the digest"},
		{"attestation.uncovered", "Neither the index that lists the attestation nor the image that it names is admitted.", "sign the index"},
		{"attestation.untrusted", "A valid attestation is by an authority that the policy does not accept.", "have an accepted authority attest it"},
		{"attestation.workflow", "Another workflow than the policy wants built it.", "build it with the wanted workflow"},
		{"base.not_allowed", "The base image that the image claims is in no list of the policy.", "build from an allowed base image"},
		{"base.unknown", "The image does not say which base image it is made from.", "build with the annotation org.opencontainers.image.base.name"},
		{"config.missing", "The image's configuration could not be read, so that it cannot be judged.", "push the image again, with its configuration"},
		{"config.root_user", "The image runs as root.", "set a numeric user in the image's configuration"},
		{"config.too_big", "The image's layers are larger than the policy allows.", "make the image smaller"},
		{"image.absent", "The registry does not hold the image.", "push it, or correct the name"},
		{"image.evidence", "What is named is evidence about an image, which nothing admits to run.", "name the image"},
		{"image.malformed", "What is named is no image reference.", "write HOST/REPOSITORY:TAG or HOST/REPOSITORY@DIGEST"},
		{"image.unknown", "The image lies in another registry, about which nothing is known here.", "copy it into this registry, or allow it: kubernetes.unknown"},
		{"policy.error", "A policy's evaluation ended in an error, which refuses.", "see the log; run assay policy eval on the recorded input"},
		{"policy.incomplete", "Content that the manifest references is not in the repository.", "push it whole"},
		{"policy.malformed", "A policy answered something that is no result, which refuses.", "run assay policy check and assay policy eval"},
		{"policy.none", "No policy is in force for the repository, which refuses.", "name a policy in the configuration; builtin:open allows everything"},
		{"policy.panic", "A policy's evaluation failed inside the engine, which refuses.", "see the log"},
		{"policy.revoked", "An administrator revoked the digest, or content that it references.", "use another version"},
		{"policy.timeout", "A policy did not answer in time, which refuses.", "make the policy cheaper; the registry asks again within a minute"},
		{"sbom.diff_ids", "The layers' uncompressed digests are not those that the configuration names.", "build and push the image again"},
		{"sbom.failed", "The registry could not make the SBOM.", "attach an SBOM made at the build"},
		{"sbom.format", "The SBOM has a format that the policy does not accept.", "attach an SBOM in an accepted format"},
		{"sbom.missing", "The image has no SBOM yet.", "wait until the registry made it, or attach one"},
		{"sbom.origin", "The SBOM comes from where the policy does not accept it.", "attach one of an accepted origin"},
		{"sbom.unverified", "The attestation that carries the SBOM is not verified.", "sign the attestation with a trusted key"},
		{"signature.annotations", "A valid signature lacks a signed annotation that the policy wants.", "sign again with the annotation: cosign sign -a KEY=VALUE"},
		{"signature.certificate_expired", "A certificate was not valid when the signature was made, or nothing trusted says when that was.", "sign with a current certificate, and a timestamp"},
		{"signature.digest_mismatch", "A signature names another digest.", sign},
		{"signature.expired", "A signature was made to count until a time that is over.", sign},
		{"signature.identity", "A certificate is of another issuer or identity than a trusted authority wants.", "sign with an identity that the authority names"},
		{"signature.internal", "Verification failed inside the registry, which proves nothing.", "see the log"},
		{"signature.invalid", "A signature's bytes do not verify.", sign},
		{"signature.key_expired", "A signature was made outside the time in which its key is valid, or that time is over.", "sign with a key that is valid now"},
		{"signature.log_mismatch", "A log entry is about another artifact, key or signature.", sign},
		{"signature.malformed", "A signature does not parse as the type that it claims.", sign},
		{"signature.missing", "Nothing signed the digest.", sign},
		{"signature.no_authority", "No authority is trusted for the repository.", "trust a key: assay trust add"},
		{"signature.no_log", "A signature brings fewer log entries than its authority wants.", "sign again and let the client write to the transparency log"},
		{"signature.no_sct", "A certificate was not proven to be in a certificate log.", "sign with a certificate of the trusted instance"},
		{"signature.no_timestamp", "A signature brings fewer trusted times than its authority wants.", "sign again and let the client ask the timestamping authority"},
		{"signature.other_repository", "A valid signature was made for another repository.", "sign the digest in this repository, or configure promote_from"},
		{"signature.payload_type", "What was signed is of another type than in-toto.", sign},
		{"signature.revoked_certificate", "The certificate that made a signature is revoked.", "sign with a certificate that is not revoked"},
		{"signature.revoked_entry", "The log entry of a signature is revoked.", sign},
		{"signature.revoked_identity", "The identity that made a signature is revoked.", "sign with another identity"},
		{"signature.revoked_key", "The key that made a signature is revoked.", "sign with a key that is not revoked"},
		{"signature.threshold", "Fewer distinct keys or identities signed than the policy wants.", "have another signer sign the digest"},
		{"signature.too_big", "A signature exceeds the limits.", sign},
		{"signature.unsigned", "What was attached carries no signature.", sign},
		{"signature.unsupported", "A signature's scheme needs an authority of another kind.", sign},
		{"signature.untrusted", "A valid signature is by an authority that the policy does not accept.", sign},
		{"signature.untrusted_key", "No key of a trusted authority made the signature.", "sign with a trusted key, or trust this one: assay trust add"},
		{"signature.untrusted_root", "A certificate leads to no root of a trusted authority.", "sign with a certificate of a trusted authority, or trust the one that issued it"},
		{"tag.immutable", "The tag has named another image, and the policy lets it name no second one.", "push under another tag, or have an administrator delete this one"},
		{"tag.mutable", "The tag can move, and the policy wants tags that say what they name.", "push under a version, such as v1.2.3"},
		{"tuf.digest_mismatch", "The tag or target is pinned to another digest or length.", "pin the digest and publish: assay tuf add"},
		{"tuf.expired", "The TUF metadata that proved it ran out.", "renew the metadata: assay tuf sign, assay tuf publish"},
		{"tuf.missing", "No TUF target pins the digest.", "pin the digest under a tag and publish: assay tuf add"},
		{"tuf.not_pinned", "No TUF target pins the tag.", "pin the tag and publish: assay tuf add"},
		{"tuf.untrusted", "A TUF authority that the policy does not accept pins it.", "pin it in a repository of an accepted authority"},
	}
}
