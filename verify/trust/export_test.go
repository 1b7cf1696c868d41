package trust

// LimitPins lowers the number of pins that are taken, so that the limit is met without a hundred thousand of them.
func (c *Client) LimitPins(n int) { c.pins = n }
