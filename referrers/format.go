package referrers

import (
	"errors"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// Format is what a layer of evidence is.
type Format string

// The formats of evidence.
const (
	SimpleSigning Format = "simplesigning" // cosign's payload
	DSSE          Format = "dsse"
	InToto        Format = "in-toto" // a statement, or an envelope around one
	Bundle        Format = "bundle"  // of sigstore
	SPDX          Format = "spdx"
	CycloneDX     Format = "cyclonedx"
	Syft          Format = "syft"
	OpenVEX       Format = "openvex"
	SARIF         Format = "sarif"
	NotationJWS   Format = "notation-jws"
	NotationCOSE  Format = "notation-cose"
	TUF           Format = "tuf"
	Empty         Format = "empty" // the empty descriptor's {}

	formatUnknown Format = ""
)

// SBOM reports whether the larger limit holds.
func (f Format) SBOM() bool { return f == SPDX || f == CycloneDX || f == Syft }

// Media types of evidence.
const (
	TypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	TypeDSSE          = "application/vnd.dsse.envelope.v1+json"
	TypeInToto        = "application/vnd.in-toto+json"
	TypeBundle        = "application/vnd.dev.sigstore.bundle.v0.3+json"
	TypeNotation      = "application/vnd.cncf.notary.signature"
	TypeSPDX          = "application/spdx+json"
	TypeCycloneDX     = "application/vnd.cyclonedx+json"

	// TypeHarborSBOM is the config type of the SBOMs that Harbor attaches: goharbor/harbor, src/pkg/scan/sbom/sbom.go.
	TypeHarborSBOM = "application/vnd.goharbor.harbor.sbom.v1"

	typeCosignArtifact = "application/vnd.dev.cosign.artifact."
	typeBundlePrefix   = "application/vnd.dev.sigstore.bundle.v0."
	typeOldBundle      = "application/vnd.dev.sigstore.bundle+json"
)

// formatOf knows the media types of layers. Parameters count for none of them: the bundle's version is in its content too.
func formatOf(mediaType string) Format {
	base, _, _ := strings.Cut(mediaType, ";")
	if strings.HasPrefix(base, typeBundlePrefix) && strings.HasSuffix(base, "+json") || base == typeOldBundle {
		return Bundle
	}
	switch strings.TrimSpace(base) {
	case TypeSimpleSigning:
		return SimpleSigning
	case TypeDSSE:
		return DSSE
	case TypeInToto:
		return InToto
	case TypeSPDX, "text/spdx+json", "text/spdx":
		return SPDX
	case TypeCycloneDX, "application/vnd.cyclonedx+xml", "application/vnd.cyclonedx":
		return CycloneDX
	case "application/vnd.syft+json":
		return Syft
	case "application/vnd.openvex+json":
		return OpenVEX
	case "application/sarif+json":
		return SARIF
	case "application/jose+json":
		return NotationJWS
	case "application/cose":
		return NotationCOSE
	case "application/vnd.tuf.metadata+json":
		return TUF
	case store.TypeEmpty:
		return Empty
	case TypeHarborSBOM:
		return SPDX
	}
	return formatUnknown
}

// SBOMType reports whether a layer of evidence of that media type is an SBOM as such.
func SBOMType(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageLayer || formatOf(mediaType).SBOM()
}

// layerType is what the one layer of p is judged as. Clients that are told no type for a file (oras attach) call it a layer of an image, and Harbor always does: then the manifest's
// own type, where that is one of an SBOM, says what its bytes have to be.
func layerType(p *store.Parsed, d store.Descriptor) string {
	if d.MediaType != ocispec.MediaTypeImageLayer || len(p.Layers) != 1 {
		return d.MediaType
	}
	for _, t := range []string{p.ArtifactType, p.Config.MediaType} {
		if formatOf(t).SBOM() {
			return t
		}
	}
	return d.MediaType
}

// evidenceType reports whether an artifact or config type names evidence: a format that stands for itself, cosign's artifacts, notation's.
func evidenceType(t string) bool {
	switch formatOf(t) {
	case formatUnknown:
		return t == TypeNotation || strings.HasPrefix(t, typeCosignArtifact)
	case Empty, NotationJWS, NotationCOSE:
		return false
	}
	return true
}

// parsePart checks that b is what its media type says.
func parsePart(mediaType string, b []byte) (Part, error) {
	part := Part{Format: formatOf(mediaType), Bytes: b}
	var err error
	switch part.Format {
	case SimpleSigning:
		err = simpleSigning(b)
	case DSSE:
		part.PredicateType, err = envelope(b)
	case InToto:
		part.PredicateType, err = statementOrEnvelope(b)
	case Bundle:
		part.PredicateType, err = bundle(b)
	case SPDX:
		err = spdx(strings.HasPrefix(mediaType, "text/spdx") && !strings.HasPrefix(mediaType, "text/spdx+json"), b)
	case CycloneDX:
		err = cyclonedx(mediaType, b)
	case Syft:
		err = syft(b)
	case OpenVEX:
		err = openvex(b)
	case SARIF:
		err = sarif(b)
	case NotationJWS:
		err = notation(parseNotationJWS(b))
	case NotationCOSE:
		err = notation(parseNotationCOSE(b))
	case TUF:
		err = tufMetadata(b)
	case Empty:
		if string(b) != "{}" {
			err = errors.New("it is not {}")
		}
	default:
		err = errors.New("the type is unknown")
	}
	return part, err
}

// scanPredicates begin the predicate types that a scanner may write: they report, they do not vouch.
var scanPredicates = [...]string{
	"https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://cosign.sigstore.dev/attestation/vuln/", "https://in-toto.io/attestation/vulns", "https://docs.oasis-open.org/sarif/",
}

// Scan reports whether the role "scan" may write the part: SPDX, CycloneDX, vulnerability reports and SARIF, as documents or in
// statements, and nothing else, no matter who signed.
func (p Part) Scan() bool {
	switch p.Format {
	case SPDX, CycloneDX, Syft, SARIF, Empty:
		return true
	case DSSE, InToto, Bundle:
		for _, prefix := range scanPredicates {
			if strings.HasPrefix(p.PredicateType, prefix) {
				return true
			}
		}
	}
	return false
}
