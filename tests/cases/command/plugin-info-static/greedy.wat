(component
  (import "wasi:filesystem/preopens@0.2.0" (instance (export "get-directories" (func))))
  (import "wafermill:plugin/logging@0.1.0" (instance))
  (component $inner (import "not-shown" (func)))
  (instance $nothing)
  (export "wafermill:plugin/guest@0.1.0" (instance $nothing)))
