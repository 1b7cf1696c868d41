package kubernetes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Place is where an object names an image.
type Place struct {
	Pointer   string // JSON pointer (RFC 6901) of the text
	Image     string
	Container string
	Kind      string
}

// The limits of what is read from one object.
const (
	maxPlaces    = 1000
	maxReference = 1024
)

// GroupKind is a kind with its API group; the core group is empty.
type GroupKind struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
}

// String is the kind as kubectl names it: Deployment.apps.
func (g GroupKind) String() string {
	if g.Group == "" {
		return g.Kind
	}
	return g.Kind + "." + g.Group
}

// templates are the kinds whose images are known, with the path of their pod's specification.
var templates = map[GroupKind][]string{
	{"", "Pod"}:                   {"spec"},
	{"", "PodTemplate"}:           {"template", "spec"},
	{"", "ReplicationController"}: {"spec", "template", "spec"},
	{"apps", "ReplicaSet"}:        {"spec", "template", "spec"},
	{"apps", "Deployment"}:        {"spec", "template", "spec"},
	{"apps", "DaemonSet"}:         {"spec", "template", "spec"},
	{"apps", "StatefulSet"}:       {"spec", "template", "spec"},
	{"batch", "Job"}:              {"spec", "template", "spec"},
	{"batch", "CronJob"}:          {"spec", "jobTemplate", "spec", "template", "spec"},
}

// Kinds lists the kinds whose images are known, ordered.
func Kinds() []string {
	kinds := make([]string, 0, len(templates))
	for k := range templates {
		kinds = append(kinds, k.String())
	}
	slices.Sort(kinds)
	return kinds
}

// podSpec is the part of a pod's specification (core/v1 PodSpec) that names images.
type podSpec struct {
	Containers          []container `json:"containers"`
	InitContainers      []container `json:"initContainers"`
	EphemeralContainers []container `json:"ephemeralContainers"`
	Volumes             []struct {
		Name  string `json:"name"`
		Image *struct {
			Reference string `json:"reference"`
		} `json:"image"`
	} `json:"volumes"`
}

type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// Places finds every image of an object: containers of all three sorts, and image volumes. A kind that is not known is an error: what it would run
// cannot be told. A container may leave its image to a controller's default; such an empty name is left out. Errors are sentences.
func Places(kind GroupKind, object json.RawMessage) ([]Place, error) {
	path, known := templates[kind]
	if !known {
		return nil, fmt.Errorf("the kind %.100q is none whose images are known (%s); narrow the rules of the webhook", kind.String(), strings.Join(Kinds(), ", "))
	}
	for _, member := range path {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(object, &m); err != nil {
			return nil, fmt.Errorf("the %s has no readable %s", kind.Kind, strings.Join(path, "."))
		}
		if object = m[member]; len(object) == 0 {
			return nil, nil // a template without a pod names nothing
		}
	}
	var spec podSpec
	if err := json.Unmarshal(object, &spec); err != nil {
		return nil, fmt.Errorf("the pod specification of the %s cannot be read", kind.Kind)
	}
	base := "/" + strings.Join(path, "/")
	var all []Place
	add := func(list, member string, i int, image, name, kind string) {
		if image != "" {
			all = append(all, Place{fmt.Sprintf("%s/%s/%d/%s", base, list, i, member), image, name, kind})
		}
	}
	for i, c := range spec.InitContainers {
		add("initContainers", "image", i, c.Image, c.Name, KindInit)
	}
	for i, c := range spec.Containers {
		add("containers", "image", i, c.Image, c.Name, KindContainer)
	}
	for i, c := range spec.EphemeralContainers {
		add("ephemeralContainers", "image", i, c.Image, c.Name, KindEphemeral)
	}
	for i, v := range spec.Volumes {
		if v.Image != nil {
			add("volumes", "image/reference", i, v.Image.Reference, v.Name, KindVolume)
		}
	}
	return all, check(all)
}

func check(places []Place) error {
	if len(places) > maxPlaces {
		return fmt.Errorf("the object names %d images; at most %d are judged at once", len(places), maxPlaces)
	}
	for _, p := range places {
		if len(p.Image) > maxReference || len(p.Container) > maxReference {
			return fmt.Errorf("the %s %.60q names an image of more than %d characters, or has such a name itself", p.Kind, p.Container, maxReference)
		}
	}
	return nil
}

// added are the places of an object that its former version did not have, by container and image: what runs already is not judged again when a label changes.
func added(now, before []Place) []Place {
	type same struct{ image, container, kind string }
	had := map[same]bool{}
	for _, p := range before {
		had[same{p.Image, p.Container, p.Kind}] = true
	}
	return slices.DeleteFunc(slices.Clone(now), func(p Place) bool { return had[same{p.Image, p.Container, p.Kind}] })
}
