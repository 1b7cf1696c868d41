package kubernetes

import (
	"context"
	"encoding/json"
)

// The protocol of Gatekeeper's external data providers.
const (
	externalVersion = "externaldata.gatekeeper.sh/v1beta1"
	maxKeys         = 1000
)

type providerRequest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Request    struct {
		Keys []string `json:"keys"`
	} `json:"request"`
}

type providerResponse struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Response   struct {
		Idempotent  bool   `json:"idempotent"`
		Items       []item `json:"items"`
		SystemError string `json:"systemError,omitempty"`
	} `json:"response"`
}

type item struct {
	Key   string `json:"key"`
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// ProvideError is the answer to what is no provider request: Gatekeeper reads the sentence from its own form, whatever the status.
func ProvideError(err error) ([]byte, error) {
	out := providerResponse{APIVersion: externalVersion, Kind: "ProviderResponse"}
	out.Response.Items, out.Response.SystemError = []item{}, cut(err.Error(), 4096)
	return json.Marshal(out)
}

// Provide answers a provider request: for each key, an image, the answer as a value, or why it may not run as an error, which Gatekeeper's
// constraints and its failure policy read. With pin set the value is the image by digest, for mutation. Errors: ErrMalformed.
func Provide(ctx context.Context, j Judge, pin bool, body []byte) ([]byte, error) {
	if len(body) > MaxReview {
		return nil, malformed("the request has more than %d MiB", MaxReview>>20)
	}
	var in providerRequest
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, malformed("the body is not JSON of that form")
	}
	switch {
	case in.APIVersion != externalVersion || in.Kind != "ProviderRequest":
		return nil, malformed("it is %.60q %.60q, and %s ProviderRequest is understood", in.APIVersion, in.Kind, externalVersion)
	case len(in.Request.Keys) > maxKeys:
		return nil, malformed("it has %d keys, and at most %d are answered at once", len(in.Request.Keys), maxKeys)
	}
	out := providerResponse{APIVersion: externalVersion, Kind: "ProviderResponse"}
	out.Response.Idempotent = true // asked again about what it answered, it answers the same
	out.Response.Items = []item{}
	for _, key := range in.Request.Keys {
		a := Ask(ctx, j, Question{Image: key, Protocol: "gatekeeper"})
		i := item{Key: key}
		switch {
		case !a.Allowed:
			i.Error = a.Message
		case pin && a.Pinned != "":
			i.Value = a.Pinned
		case pin:
			i.Value = key
		default:
			i.Value = a
		}
		out.Response.Items = append(out.Response.Items, i)
	}
	return json.Marshal(out)
}
