-- From the lines of one shop's invoices to the raw tables of three brands; everything here is real but
-- the e-mail addresses. Reads table `lines`, the eight columns of the UCI file. Each raw table has a
-- column `brand`.

-- Lines without a customer belong to nobody, lines without a price sell nothing. A line that stands
-- twice in an invoice is two lines.
create table kept as
select
    'C' || CustomerID::bigint as customer_id,
    InvoiceNo as order_id,
    StockCode as product_id,
    Description as description,
    Quantity as qty,
    UnitPrice as price,
    InvoiceDate as sold_at,
    Country as country,
    InvoiceNo like 'C%' as is_cancellation
from lines
where CustomerID is not null and UnitPrice > 0;

-- A customer is of the country of the first invoice. Who belongs to which brand depends on the
-- customer id alone, on every machine and day.
create table people as
select
    customer_id,
    country,
    created_at,
    case
        when country <> 'United Kingdom' then 'abroad'
        when ('0x' || md5(customer_id)[1:8])::ubigint % 2 = 0 then 'uk_a'
        else 'uk_b'
    end as brand
from (
    select customer_id, arg_min(country, (sold_at, order_id)) as country, min(sold_at) as created_at
    from kept
    group by customer_id
);

create table customers as
select
    brand,
    customer_id,
    created_at,
    country,
    'customer' || customer_id[2:] || '@example.com' as email,
    created_at as _loaded_at,
    'shop' as _source_system
from people;

-- A cancellation names no order. It takes back the customer's latest earlier purchase of that product;
-- what was bought before the file begins, and discounts and fees, have none.
create table cancellations as
select
    cancelled.customer_id,
    cancelled.order_id as cancellation_id,
    cancelled.sold_at as cancelled_at,
    -cancelled.qty * cancelled.price as amount,
    purchases.order_id
from kept as cancelled
asof left join (
    select customer_id, product_id, sold_at, min(order_id) as order_id
    from kept
    where not is_cancellation
    group by customer_id, product_id, sold_at
) as purchases
    on cancelled.customer_id = purchases.customer_id
    and cancelled.product_id = purchases.product_id
    and cancelled.sold_at >= purchases.sold_at
where cancelled.is_cancellation;

create table orders as
with refunds as (
    -- A refund in parts counts from its last part: never before all of it was known.
    select order_id, sum(amount) as refunded, max(cancelled_at) as refunded_at
    from cancellations
    where order_id is not null
    group by order_id
),
invoices as (
    select order_id, customer_id, min(sold_at) as ordered_at, sum(qty * price) as gross
    from kept
    where not is_cancellation
    group by order_id, customer_id
),
placed as (
    select
        order_id,
        customer_id,
        ordered_at,
        case when refunded >= gross - 0.005 then 'returned' else 'completed' end as status,
        gross,
        -- More can be taken back of a product than the last purchase of it held.
        least(coalesce(refunded, 0), gross) as refunded,
        refunded_at
    from invoices
    left join refunds using (order_id)
    union all
    select
        cancellation_id as order_id,
        customer_id,
        min(cancelled_at) as ordered_at,
        'cancelled' as status,
        sum(amount) as gross,
        0 as refunded,
        null as refunded_at
    from cancellations
    where order_id is null
    group by cancellation_id, customer_id
)
select
    people.brand,
    order_id,
    customer_id,
    ordered_at,
    status,
    round(gross, 2) as gross,
    round(refunded, 2) as refunded,
    refunded_at,
    'GBP' as currency,
    ordered_at as _loaded_at,
    'shop' as _source_system
from placed
inner join people using (customer_id);

-- The file knows no departments; these follow from a word of the description.
create table order_items as
select
    people.brand,
    order_id,
    row_number() over (partition by order_id order by product_id, qty, price, sold_at, description)::int
        as line,
    product_id,
    case
        when regexp_matches(description, 'CHRISTMAS|XMAS|ADVENT') then 'christmas'
        when regexp_matches(description, 'BAG|PURSE') then 'bags'
        when regexp_matches(description, 'LIGHT|LANTERN|CANDLE|LAMP') then 'lights'
        when regexp_matches(description, 'CARD|WRAP|PAPER|STICKER|NOTEBOOK|PEN') then 'paper'
        when regexp_matches(description, 'CAKE|CUP|MUG|PLATE|BOWL|TEA|JAR|KITCHEN|LUNCH') then 'kitchen'
        when regexp_matches(description, 'BOX|TIN|DRAWER|BASKET|RACK|HOLDER') then 'storage'
        when regexp_matches(description, 'TOY|DOLL|CHILD|GAME|BABY') then 'children'
        when regexp_matches(description, 'GARDEN|BIRD|FLOWER|ROSE') then 'garden'
        when regexp_matches(description, 'HEART|SIGN|FRAME|CLOCK|DECORATION|HANGING') then 'decoration'
        else 'other'
    end as category,
    qty,
    price,
    sold_at as _loaded_at,
    'shop' as _source_system
from kept
inner join people using (customer_id)
where not is_cancellation;
