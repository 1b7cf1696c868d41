package notation

import (
	"context"
	"crypto/x509"
	"slices"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	nx509 "github.com/notaryproject/notation-core-go/x509"
	"github.com/notaryproject/tspclient-go"

	"github.com/assay-registry/assay/verify"
)

// timestamp is the time at which a timestamping authority that is trusted saw the signature (RFC 3161), or nil, and until when its revocation lists tell; zero where none was asked.
func (a *authority) timestamp(ctx context.Context, s *signature.SignerInfo) (stamp *tspclient.Timestamp, fresh time.Time) {
	if a.timestampers == nil || len(s.UnsignedAttributes.TimestampSignature) == 0 {
		return nil, time.Time{}
	}
	token, err := tspclient.ParseSignedToken(s.UnsignedAttributes.TimestampSignature)
	if err != nil || len(token.SignerInfos) != 1 || len(token.Certificates) > verify.MaxCertificates || slices.ContainsFunc(token.Certificates, heavy) {
		return nil, time.Time{}
	}
	info, err := token.Info()
	if err != nil {
		return nil, time.Time{}
	}
	stamp, err = info.Validate(s.Signature)
	if err != nil || stamp.Value.IsZero() || stamp.Accuracy < 0 { // at the zero time the library would ask the clock
		return nil, time.Time{}
	}
	token.Certificates = append(token.Certificates, a.intermediates...)
	chain, err := token.Verify(ctx, x509.VerifyOptions{Roots: a.timestampers, CurrentTime: stamp.Value})
	if err != nil || nx509.ValidateTimestampingCertChain(chain) != nil {
		return nil, time.Time{}
	}
	for _, c := range chain {
		if a.revokedSerial(c) {
			return nil, time.Time{}
		}
	}
	listed, fresh, err := a.listed(chain)
	if err != nil || listed != "" {
		return nil, time.Time{}
	}
	return stamp, fresh
}
