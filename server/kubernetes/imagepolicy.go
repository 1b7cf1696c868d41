package kubernetes

import (
	"context"
	"encoding/json"
	"strings"
)

const imageReviewVersion = "imagepolicy.k8s.io/v1alpha1"

type imageReview struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Spec       *imageReviewSpec  `json:"spec,omitempty"`
	Status     *imageReviewState `json:"status,omitempty"`
}

type imageReviewSpec struct {
	Containers []struct {
		Image string `json:"image"`
	} `json:"containers"`
	Namespace string `json:"namespace"`
}

type imageReviewState struct {
	Allowed          bool              `json:"allowed"`
	Reason           string            `json:"reason,omitempty"`
	AuditAnnotations map[string]string `json:"auditAnnotations,omitempty"`
}

// ReviewImages answers the ImagePolicyWebhook: whether all images of a pod may run. That protocol knows neither image volumes nor warnings. Errors: ErrMalformed.
func ReviewImages(ctx context.Context, j Judge, body []byte) ([]byte, error) {
	if len(body) > MaxReview {
		return nil, malformed("the review has more than %d MiB", MaxReview>>20)
	}
	var in imageReview
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, malformed("the body is not JSON of that form")
	}
	switch {
	case in.APIVersion != imageReviewVersion || in.Kind != "ImageReview" || in.Spec == nil:
		return nil, malformed("it is %.60q %.60q, and %s ImageReview is understood", in.APIVersion, in.Kind, imageReviewVersion)
	case len(in.Spec.Containers) > maxPlaces:
		return nil, malformed("it has %d images, and at most %d are judged at once", len(in.Spec.Containers), maxPlaces)
	}
	if err := words(in.Spec.Namespace); err != nil {
		return nil, err
	}
	state := &imageReviewState{Allowed: true}
	var refusals []string
	for _, c := range in.Spec.Containers {
		a := Ask(ctx, j, Question{Image: c.Image, Protocol: "imagepolicy", Operation: "CREATE", Kind: "Pod", Namespace: in.Spec.Namespace, ContainerKind: KindContainer})
		if !a.Allowed {
			refusals = append(refusals, a.Message)
		}
	}
	if len(refusals) > 0 {
		state.Allowed, state.Reason = false, cut(strings.Join(refusals, "; "), 4096)
	}
	return json.Marshal(imageReview{APIVersion: imageReviewVersion, Kind: "ImageReview", Status: state})
}
