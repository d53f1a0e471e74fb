;; The loads of slot.ts, from the memory that the module does not have for itself.
(module
  (import "slot" "memory" (memory $slot 1 65536 shared))
  (func (export "load8") (param $at i32) (result i32) (i32.load8_u (local.get $at)))
  (func (export "load16") (param $at i32) (result i32) (i32.load16_u (local.get $at)))
  (func (export "load32") (param $at i32) (result i32) (i32.load (local.get $at)))
  (func (export "load64") (param $at i32) (result i64) (i64.load (local.get $at)))
  (func (export "atomicLoad32") (param $at i32) (result i32) (i32.atomic.load (local.get $at)))
  (func (export "load128") (param $at i32) (result v128) (v128.load (local.get $at))))
