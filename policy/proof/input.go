package proof

import (
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/verify"
)

// Inputs maps facts to the parts of the input that they make. Documents make none: what they say is the inventory's to tell.
func Inputs(facts []verify.Fact) ([]contract.SignatureInput, []contract.AttestationInput) {
	signatures, attestations := []contract.SignatureInput{}, []contract.AttestationInput{}
	signers := verify.Signers(facts)
	for i, f := range facts {
		switch f.Kind {
		case verify.KindSignature:
			signatures = append(signatures, contract.SignatureInput{Evidence: f.Evidence, Layer: f.Layer, Scheme: f.Scheme, Found: f.Found, InheritedFrom: f.InheritedFrom,
				Verified: f.Verified, Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Signer: signers[i], Issuer: f.Issuer, Identity: f.Identity, Extensions: f.Extensions,
				Serial: f.Serial, Annotations: f.Annotations, ClaimedReference: f.ClaimedReference, Logs: f.Logs, TimeSource: f.TimeSource,
				SignedAt: f.SignedAt, ValidUntil: f.ValidUntil, Target: f.Target, Role: f.Role})
		case verify.KindAttestation:
			attestations = append(attestations, contract.AttestationInput{Evidence: f.Evidence, Layer: f.Layer, Scheme: f.Scheme, Found: f.Found, InheritedFrom: f.InheritedFrom,
				PredicateType: f.PredicateType, Verified: f.Verified, Code: f.Code, Authority: f.Authority, KeyID: f.KeyID, Signer: signers[i], Issuer: f.Issuer,
				Identity: f.Identity, Extensions: f.Extensions, Serial: f.Serial, Logs: f.Logs, TimeSource: f.TimeSource, SignedAt: f.SignedAt,
				ValidUntil: f.ValidUntil, Summary: f.Summary})
		}
	}
	return signatures, attestations
}
