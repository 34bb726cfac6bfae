from webhooks.catalogue import EventType, connect_model, register

from .models import Order

for _verb in ("created", "updated", "deleted", "paid"):
    register(
        EventType(
            name=f"order.{_verb}",
            description=f"An order was {_verb}.",
            example={"object": {"number": "A-1"}},
            schema={"type": "object"},
        )
    )

connect_model(Order, prefix="order", exclude=["note"], transitions={"status": {"paid": "paid"}})
