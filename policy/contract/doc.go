// Package contract is what registry and policies say to one another: the document that a policy is asked with ([Input], policy.input/v1), the one that it answers with ([Decision],
// policy.result/v1), and the [Engine] that leads from one to the other.
//
// It is data and three interfaces. Who fills the input in is package policy, who evaluates is package policy/engine, and neither knows the other. Names in JSON are a promise to
// whoever writes policies: members are added, never renamed, and what is optional is absent, never null.
// Of what is absent nothing holds, and neither does its opposite where a call is between: `not "x" in input.absent` is undefined in Rego, and not true. A rule denies unless a rule of its own
// shows something (`not shown`).
package contract
