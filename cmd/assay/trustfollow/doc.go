// Package trustfollow asks the sources of TUF repositories, each by its interval, and hands on what they say: whether that comes into force is the caller's question.
package trustfollow
