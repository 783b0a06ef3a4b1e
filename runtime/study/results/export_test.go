package results

import "reflect"

func valueOf(m *Manifest) reflect.Value { return reflect.ValueOf(*m) }
