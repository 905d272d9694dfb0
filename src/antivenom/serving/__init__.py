"""Serve an artifact so that every request gets the guard: a gateway, exports for engines, and the proof.

`antivenom serve` is `service.Service` behind `app.make_app`, on the model itself (`local`) or in front of an engine
(`upstream`). `antivenom export` is `export`; `antivenom verify` is `verification`.
"""
