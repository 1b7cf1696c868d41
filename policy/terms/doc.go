// Package terms makes values of OPA of the Go values that policies judge: exactly those that their JSON has, without writing the JSON.
//
// An [Input] is asked for its members. [Input.Make] has them made of terms, for the interpreter; [Input.Member] leaves collections unread ([plan.Source]), for plans, which encode what they ask for and
// nothing else. Who knows what an unread collection is may take it as the Go value that it has: [Counts], [Findings], [Reported], [Texts]. What the values mean, and who may read them, is no matter of
// this package.
package terms
