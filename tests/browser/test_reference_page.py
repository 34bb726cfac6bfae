"""The reference page, step by step, in a real browser, against the running demo."""

import time

from tests.demo import running_demo

LABELS = [
    "Name", "Callback URL", "Method", "Content-Type", "Max attempts", "Status", "Secret", "Events",
]  # fmt: skip


def log_in(page, demo):
    page.goto(demo.url)
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Log in").click()


def test_the_reference_page_leads_to_a_verified_delivery(browser, tmp_path, screenshots):
    with running_demo(tmp_path) as demo:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        log_in(page, demo)
        page.get_by_role("link", name="Demo", exact=True).click()
        page.get_by_role("navigation", name="Sidebar").get_by_role("link", name="Webhooks").click()
        page.get_by_role("link", name="Create Webhook").first.click()
        page.wait_for_url("**/webhook/add/**")
        texts = page.locator("form label, form legend").all_inner_texts()
        shown = [text.strip().rstrip(":") for text in texts]
        assert [label for label in shown if label in LABELS] == LABELS
        page.get_by_label("Name").first.fill("Mine")
        page.get_by_label("Callback URL").fill(demo.callback_url)
        page.get_by_label("Method").select_option("POST")
        page.get_by_label("Content-Type").select_option("application/json")
        page.get_by_label("Max attempts").fill("5")
        assert page.get_by_label("Status").is_checked()
        page.get_by_label("Secret", exact=False).first.fill("demo-secret")
        page.locator("input[name=events][value='activity.created']").check()
        page.screenshot(path=screenshots / "form.png", full_page=True)
        page.get_by_role("button", name="Create", exact=True).click()
        page.get_by_role("link", name="Mine").first.wait_for()
        assert page.locator(".errornote, .errorlist").count() == 0
        page.goto(f"{demo.url}/w/demo/workspace/activity/add/")
        page.get_by_label("Title").fill("Hello")
        page.locator("input[name=_save]").click()
        page.wait_for_url("**/workspace/activity/")
        demo.wait_for_line("received POST /yours 200 event=activity.created", 30)
        [line] = [line for line in demo.lines if line.startswith("received POST /yours")]
        assert line.endswith("signature=verified")
        see_the_delivery(page, demo, screenshots)


def see_the_delivery(page, demo, screenshots):
    """The list shows it as succeeded, and its page what was sent and answered."""
    deadline = time.monotonic() + 15
    while True:
        page.goto(f"{demo.url}/w/demo/webhooks/delivery/")
        row = page.locator("#result_list tbody tr").filter(has_text="Mine")
        if "succeeded" in row.inner_text().lower():
            break
        assert time.monotonic() < deadline
        page.wait_for_timeout(200)
    page.screenshot(path=screenshots / "deliveries.png")
    row.locator("th a, td a").first.click()
    page.wait_for_url("**/change/**")
    assert "X-Signature" in page.content()
    page.screenshot(path=screenshots / "delivery.png", full_page=True)
