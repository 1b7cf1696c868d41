package notation

import (
	"context"
	"crypto/x509"
	"slices"

	"github.com/notaryproject/notation-core-go/signature"
	nx509 "github.com/notaryproject/notation-core-go/x509"
	"github.com/notaryproject/tspclient-go"

	"github.com/assay-registry/assay/verify"
)

// timestamp is the time at which a timestamping authority that is trusted saw the signature (RFC 3161), or nil.
func (a *authority) timestamp(ctx context.Context, s *signature.SignerInfo) *tspclient.Timestamp {
	if a.timestampers == nil || len(s.UnsignedAttributes.TimestampSignature) == 0 {
		return nil
	}
	token, err := tspclient.ParseSignedToken(s.UnsignedAttributes.TimestampSignature)
	if err != nil || len(token.SignerInfos) != 1 || len(token.Certificates) > verify.MaxCertificates || slices.ContainsFunc(token.Certificates, heavy) {
		return nil
	}
	info, err := token.Info()
	if err != nil {
		return nil
	}
	stamp, err := info.Validate(s.Signature)
	if err != nil || stamp.Value.IsZero() || stamp.Accuracy < 0 { // at the zero time the library would ask the clock
		return nil
	}
	token.Certificates = append(token.Certificates, a.intermediates...)
	chain, err := token.Verify(ctx, x509.VerifyOptions{Roots: a.timestampers, CurrentTime: stamp.Value})
	if err != nil || nx509.ValidateTimestampingCertChain(chain) != nil {
		return nil
	}
	for _, c := range chain {
		if a.revokedSerial(c) {
			return nil
		}
	}
	if listed, _, err := a.listed(chain); err != nil || listed != "" {
		return nil
	}
	return stamp
}
