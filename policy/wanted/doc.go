// Package wanted reads what policies want, as they write it: texts, lists and objects of them, patterns, and times. Whatever is something else than is wanted is an error, and never less of it: a list
// of what is denied must not be passed by how it is written. What is wanted of what is for who asks.
package wanted
