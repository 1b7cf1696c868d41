// Package kubernetes answers what a cluster asks about images: validating and mutating admission reviews (admission.k8s.io/v1), Gatekeeper's external
// data (externaldata.gatekeeper.sh/v1beta1), and the ImagePolicyWebhook (imagepolicy.k8s.io/v1alpha1). It finds every place in which an object can name an
// image, has each image judged, and says the outcome in the words of the protocol. It judges nothing itself, and no answer is a refusal.
package kubernetes
