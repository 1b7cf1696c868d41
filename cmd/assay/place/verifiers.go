package place

import (
	"log/slog"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/notation"
	"github.com/assay-registry/assay/verify/sigstore"
	"github.com/assay-registry/assay/verify/trust"
)

// NewVerifier is every engine there is: the server's, and that of commands which verify here.
func NewVerifier(log *slog.Logger) verify.Verifier {
	return verify.Scoped(verify.Join(sigstore.New(log), notation.New(log)))
}

// Usable is what reports whether the material of an authority can be used, whatever its kind: what the form alone cannot say.
func Usable(clock func() time.Time) func(verify.Authority) error {
	return func(au verify.Authority) error {
		if au.Kind != verify.KindTUF {
			return NewVerifier(slog.New(slog.DiscardHandler)).Check(au)
		}
		if _, err := trust.New(trust.Options{Authority: au, Clock: clock}); err != nil {
			return store.Errorf(store.CodeInvalid, "authority %s has a root that cannot be used: %s", au.Name, cli.Sentence(err))
		}
		return nil
	}
}
